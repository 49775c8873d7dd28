import type { ControlMessages, Envelope } from '../../protocol/envelope.js'
import type { Loss } from '../outage.js'
import type { WebSocketConstructor, WebSocketLike } from '../socket.js'
import { locksToShare } from './locks.js'
import type { Parts } from './parts.js'
import { recent } from './recent.js'
import { sharedChannels } from './shared-channels.js'

/** Time for a leader to answer. A leader that does not was suspended by the browser. */
const patienceMs = 5_000

/** Time for the last messages of a former leader to arrive. */
const lastWordsMs = 50

export interface Tabs {
  /** Opens a socket, like `new WebSocket`. `since`: positions to resume from. The previous socket must be closed. */
  open (url: string, protocols: string[], since: string): WebSocketLike
  /** Resigns leadership and stops listening. */
  leave (): void
}

/** Socket of this tab's client. The leader connects it to the server. */
interface SharedSocket extends Partial<WebSocketLike> {
  readonly id: string
  /** Opens the real WebSocket. An error of its constructor is thrown. */
  readonly connect: () => WebSocketLike
  readonly since: string
  /** Whether it has an ack from the leader. */
  isJoined?: boolean
  /** Releases the lock that shows that this tab lives. */
  release?: () => void
  /** Tab that it listens to; `undefined` until a leader has sent a message. */
  leader?: string
}

/** Message between tabs. `from`: the sending tab; `id`: the socket that joins. */
type Word = { from: string } & (
  | { is: 'leading' }
  | { is: 'joining', id: string, since: string }
  /** The ack, and the frames that the socket missed; empty while the leader is not connected. */
  | { is: 'answer', id: string, frames: string[] }
  /** `to`: the only socket that gets the frame. Default: all. */
  | { is: 'heard', frame: string, to?: string }
  | { is: 'lost', how: Loss }
  | { is: 'saying', id: string, frame: string }
)

type Said = Word extends infer W ? W extends Word ? Omit<W, 'from'> : never : never

/**
 * Shares one WebSocket among all tabs with the same name. The tab that holds a lock leads: it has the real WebSocket, and forwards
 * frames in both directions. The client of each tab has a socket of its own, resumes from its own positions, and sends unanswered
 * messages again. The leader can therefore vanish at any time. Returns `undefined` where tabs cannot share.
 *
 * `url`: address of the connection; tabs with the same address share it. `onAwaited`: called when another tab waits for this tab to
 * connect.
 */
export function joinTabs (url: string, WebSocket: WebSocketConstructor, onAwaited: () => void, parts: Parts): Tabs | undefined {
  const { cursors, parse, bytesOf, paced } = parts
  const locks = locksToShare()
  if (!locks) return undefined
  const name = `fastify-realtime 2 ${url}`
  /** End of the socket of a client that reconnects at once. */
  const handover: Loss = { code: parts.handover, reason: '' }
  const self = crypto.randomUUID()
  const channel = new BroadcastChannel(name)
  const latest = recent(cursors)
  let socket: SharedSocket | undefined
  let impatience: ReturnType<typeof setTimeout> | undefined
  let isLeading = false
  /** Releases the lock, or ends the wait for it. */
  let request: AbortController | undefined

  // State of the leader.
  let real: WebSocketLike | undefined
  let ack: Envelope | undefined
  let toSay: string[] = []
  /** Bytes of the largest frame that was sent on this connection. */
  let largest = 0

  /** Each client keeps its own pace, but for the server they are one connection. */
  const pace = paced(() => {
    const frame = toSay.shift()
    if (frame === undefined) return false
    largest = Math.max(largest, bytesOf(frame))
    real!.send(frame)
    return true
  })

  const sendSoon = (frame: string): void => {
    toSay.push(frame)
    pace.run()
  }

  const channels = sharedChannels(parts, sendSoon, (id, frames) => {
    for (const frame of frames) deliver(frame, id)
  })

  const lockOf = (id: string): string => `${name} ${id}`

  const tell = (said: Said): void => channel.postMessage({ ...said, from: self })

  /** Requests leadership: in turn, or with `steal` at once, in place of a leader that does not answer. */
  const stand = (steal = false): void => {
    request?.abort()
    const { signal } = request = new AbortController()
    let isHeld = false
    const hold = () => new Promise<void>(resolve => {
      isHeld = true
      signal.onabort = () => resolve()
      // The last messages of the former leader may still be on their way.
      setTimeout(lead, socket?.isJoined ? lastWordsMs : 0, signal)
    })
    locks.request(name, steal ? { steal } : { signal }, hold).catch(() => {
      // Some pages are not allowed to use locks.
      if (!isHeld) return lead(signal)
      // Another tab took the lock while this one was suspended.
      hangUp()
      isLeading = false
      stand()
    })
  }

  const lead = ({ aborted }: AbortSignal): void => {
    if (aborted) return
    clearTimeout(impatience)
    isLeading = true
    tell({ is: 'leading' })
    if (socket?.isJoined) return close(handover)
    try {
      if (socket) connect(socket)
    } catch {
      // The client gets the error when it tries again.
      close(handover)
    }
  }

  const connect = (shared: SharedSocket): void => {
    const made = real = shared.connect()
    let fault: string | undefined
    made.onmessage = ({ data }) => hear(String(data))
    made.onclose = ({ code, reason }) => {
      const how = { code, reason, fault, size: largest }
      letGo()
      tell({ is: 'lost', how })
      close(how)
    }
    made.onerror = ({ message }) => { fault = message }
  }

  const letGo = (): void => {
    real = ack = undefined
    toSay = []
    largest = 0
    pace.stop()
    channels.reset()
  }

  /** Closes the socket of this tab's client and, in the leader, the real WebSocket. */
  const hangUp = (): void => {
    clearTimeout(impatience)
    if (real) {
      real.onmessage = real.onclose = null
      // Without a code: another tab may connect in its place.
      real.close()
      letGo()
      tell({ is: 'lost', how: handover })
    }
    close(handover)
  }

  const close = (how: Loss): void => {
    const closed = socket
    socket = undefined
    closed?.release?.()
    closed?.onerror?.({ message: how.fault })
    closed?.onclose?.(how)
  }

  const hear = (frame: string): void => {
    const envelope = parse(frame)
    const isAck = envelope?.type === 'connection_ack'
    const to = envelope && channels.hear(envelope, frame)
    if (to !== undefined) return deliver(frame, to)
    // Only the leader renews its credential.
    if (!isAck && envelope?.type !== 'renewed') tell({ is: 'heard', frame })
    if (isAck) {
      ack = envelope
      pace.start((ack.data as Ack).limits)
    }
    receive(frame)
    // Makes the waiting tabs join.
    if (isAck) tell({ is: 'leading' })
  }

  /** Passes a frame to one socket. */
  const deliver = (frame: string, to: string): void => {
    if (to === socket?.id) receive(frame)
    else if (to) tell({ is: 'heard', frame, to })
  }

  const receive = (frame: string): void => {
    const envelope = parse(frame)
    if (envelope && !envelope.channel) latest.hear(envelope, frame)
    socket?.onmessage?.({ data: frame })
  }

  /** Joins with a lock, which the leader gets when the socket is closed or the tab has died. */
  const enter = (shared: SharedSocket): void => {
    locks.request(lockOf(shared.id), {}, () => new Promise(resolve => {
      shared.release = resolve
      if (socket !== shared || isLeading) resolve()
      else join(shared)
    })).catch(() => {})
  }

  const join = ({ id, since }: SharedSocket): void => {
    tell({ is: 'joining', id, since })
    clearTimeout(impatience)
    impatience = setTimeout(stand, patienceMs, true)
  }

  const answer = (id: string, since: string): void => {
    if (!ack) return tell({ is: 'answer', id, frames: [] })
    const missed = since ? latest.after(since) : []
    const data = {
      ...ack.data as Ack,
      // Position before the missed frames, which follow.
      position: (missed && since) || latest.position,
      recovered: since ? missed !== undefined : undefined,
      // Only the leader renews its credential.
      expires_in_ms: undefined
    }
    tell({ is: 'answer', id, frames: [JSON.stringify({ ...ack, data }), ...missed ?? []] })
  }

  const say = (frame: string, id: string): void => {
    if (ack && !channels.say(frame, id)) sendSoon(frame)
  }

  const serve = (word: Word): void => {
    if (word.is === 'saying') return say(word.frame, word.id)
    if (word.is !== 'joining') return
    const { id } = word
    // The socket has this lock as long as it is open and its tab lives.
    locks.request(lockOf(id), { signal: request!.signal }, async () => channels.leave(id)).catch(() => {})
    answer(id, word.since)
    if (!real) onAwaited()
  }

  const follow = (word: Word, shared: SharedSocket): void => {
    if (word.is === 'leading') {
      if (shared.isJoined) return close(handover)
      shared.leader = word.from
      // Without its lock it joins as soon as it has it.
      if (shared.release) join(shared)
      return
    }
    // Ignores the last messages of a former leader.
    if ((shared.leader ?? word.from) !== word.from) return
    if (word.is === 'lost') close(word.how)
    else if (word.is === 'heard' && shared.isJoined && (word.to ?? shared.id) === shared.id) receive(word.frame)
    else if (word.is === 'answer' && word.id === shared.id && !shared.isJoined) {
      clearTimeout(impatience)
      shared.leader = word.from
      shared.isJoined = word.frames.length > 0
      word.frames.forEach(receive)
    }
  }

  channel.onmessage = event => {
    const word = (event as { data: Word }).data
    if (isLeading) serve(word)
    else if (socket) follow(word, socket)
  }
  stand()

  return {
    open (url, protocols, since) {
      const shared: SharedSocket = {
        id: crypto.randomUUID(),
        connect: () => new WebSocket(url, protocols),
        since,
        send: frame => isLeading ? say(frame, shared.id) : tell({ is: 'saying', id: shared.id, frame }),
        close: () => {
          if (socket === shared) hangUp()
        }
      }
      if (isLeading) connect(shared)
      else enter(shared)
      socket = shared
      return shared as WebSocketLike
    },
    leave () {
      hangUp()
      isLeading = false
      channel.close()
      request!.abort()
    }
  }
}

type Ack = ControlMessages['connection_ack']
