import type { FrameOf } from '../logs/log.js'
import type { ChannelKind } from '../server/kinds.js'
import { timestamp } from '../server/messages/timestamp.js'
import { PresenceLog } from './log/presence-log.js'

/** Name of the log with the presence in a channel. */
export function presenceName (channel: string): string {
  return `presence:${channel}`
}

/** Kind of the logs of presence. Clients cannot subscribe to them: they get versions of the list of members. */
export const presenceKind: ChannelKind = {
  name: 'presence',
  label: 'k',
  start: 'now',
  // Nodes need the entries only until all of them have merged them. No client has a position in them: what Redis keeps of a channel that
  // no node follows any more is gone after a minute.
  retention: { size: 0, ttl: 1, stored: { size: 1_000, ttl: 10_000, bytes: 16 * 1024 * 1024, headTtl: 60_000 } },
  createLog: (epoch, limits) => new PresenceLog(epoch, limits)
}

/** Encodes `data` of `presence` frames of a channel, JSON as text. */
export function dataFrames (encode: (json: string) => ReturnType<FrameOf>, channel: string): FrameOf {
  const beginning = `{"type":"presence","channel":${JSON.stringify(channel)},"data":`
  return (_version, data) => encode(`${beginning}${data},"timestamp":"${timestamp()}"}`)
}
