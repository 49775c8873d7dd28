import { isId } from '../protocol/ids.js'
import type { Access, TargetDecision } from '../server/access/access.js'
import type { Admitted, ChannelKind, ChannelPath, SubscriptionAccess } from '../server/kinds.js'
import { chatAddressOf, chatChannel, reservedWorkflow, type ChatTarget } from './address.js'
import { ChatLog } from './log/chat-log.js'

/** Channel kind of chats. `Chats` adds retention, visibility and message handlers. */
export const chatKind = {
  name: 'chat',
  label: 'c',
  start: 'beginning',
  ownerOf: channel => channel.slice(channel.lastIndexOf('/') + 1),
  createLog: (epoch, limits, frameOf) => new ChatLog(epoch, limits, frameOf)
} satisfies ChannelKind

/** Access to chats by frame: the same users as on the path of the chat. */
export function chatAccess (access: Access): SubscriptionAccess {
  return {
    isValid: id => chatTargetOf(id.split('/')) !== 'invalid',
    decide: (identity, channels) => Promise.all(channels.map(async channel =>
      admittedOf(await access.decide(identity, { kind: 'chat', ...chatAddressOf(channel) }))))
  }
}

function admittedOf ({ denial, isHidden }: TargetDecision): Admitted {
  return denial === undefined && (isHidden ? 'hidden' : true)
}

function chatTargetOf (segments: readonly string[]): ChatTarget | 'invalid' {
  const [workflow, appId, chatId, userId] = segments
  if (segments.length !== 4 || workflow === reservedWorkflow || !segments.every(isId)) return 'invalid'
  return { kind: 'chat', workflow, appId, chatId, userId }
}

/** Path of chats. `kind`: the complete kind, as in `Chats`. */
export function chatPath (kind: ChannelKind): ChannelPath<ChatTarget> {
  return {
    url: '/:workflow/:app_id/:chat_id/:user_id',
    kinds: [kind],
    parse: segments => segments.length === 4 ? chatTargetOf(segments) : undefined,
    channelsOf: target => [chatChannel(target)]
  }
}
