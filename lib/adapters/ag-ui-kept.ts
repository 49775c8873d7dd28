import type { Envelope } from '../protocol/envelope.js'

/** Message for `run.send` and `chat.send`. It has no id, which only a log assigns. */
export interface UnsentMessage {
  type: string
  action?: string
  message?: string
  data?: Record<string, any>
  timestamp?: string
}

/** Key of an event's `metadata` with the fields that AG-UI does not have. `CUSTOM` events are named `fastify-realtime.<type>`. */
export const agUiName = 'fastify-realtime'

/** Type of messages that carry an AG-UI event in `data.event`, for events without an equivalent message. */
export const agUiType = 'ag_ui'

export type Data = Record<string, any>

/** Fields of a message for which its event has no field. `data` omits all fields that the event has. */
export interface Kept extends UnsentMessage {
  /** Set on all events of a message except the one with the message's fields. */
  part?: true
  /** Set when the `content` of the event is the output itself. */
  isOutput?: true
}

/** Marks an event of a message whose fields are kept by another event. */
export const part = { metadata: { [agUiName]: { part: true } } }

/** Returns the fields of an event that keep the fields of its message. */
export function keeping ({ type, timestamp, action, message }: Envelope | UnsentMessage, data?: Data, more?: Partial<Kept>) {
  const time = timestamp === undefined ? NaN : Date.parse(timestamp)
  const isExact = !Number.isNaN(time) && new Date(time).toISOString() === timestamp
  const kept: Kept = {
    type,
    ...data !== undefined && { data },
    ...timestamp !== undefined && !isExact && { timestamp },
    ...action !== undefined && { action },
    ...message !== undefined && { message },
    ...more
  }
  return { ...isExact && { timestamp: time }, metadata: { [agUiName]: kept } }
}
