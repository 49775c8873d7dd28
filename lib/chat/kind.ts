import { isId } from '../protocol/ids.js'
import type { ChannelKind, ChannelPath } from '../server/kinds.js'
import { chatChannel, reservedWorkflow, type ChatTarget } from './address.js'
import { ChatLog } from './log/chat-log.js'

/** Channel kind of chats. `Chats` adds retention, visibility and message handlers. */
export const chatKind = {
  name: 'chat',
  label: 'c',
  start: 'beginning',
  ownerOf: channel => channel.slice(channel.lastIndexOf('/') + 1),
  createLog: (epoch, limits, frameOf) => new ChatLog(epoch, limits, frameOf)
} satisfies ChannelKind

/** Path of chats. `kind`: the complete kind, as in `Chats`. */
export function chatPath (kind: ChannelKind): ChannelPath<ChatTarget> {
  return {
    url: '/:workflow/:app_id/:chat_id/:user_id',
    kinds: [kind],
    parse (segments) {
      if (segments.length !== 4) return undefined
      const [workflow, appId, chatId, userId] = segments
      if (workflow === reservedWorkflow || !segments.every(isId)) return 'invalid'
      return { kind: 'chat', workflow, appId, chatId, userId }
    },
    channelsOf: target => [chatChannel(target)]
  }
}
