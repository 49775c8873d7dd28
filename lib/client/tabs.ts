import type { ControlMessages, Envelope } from '../protocol/envelope.js'
import { after, type Timer } from './clock.js'
import { parse } from './frame.js'
import { Lost, type Loss } from './outage.js'
import { bytesOf, random } from './outbox.js'
import { paced } from './pace.js'
import { recent } from './recent.js'
import type { WebSocketConstructor, WebSocketLike } from './socket.js'

const enum Ms {
  /** For a leader to say that it is there: one that does not was suspended by the browser. */
  patience = 5_000,
  /** For the words of a leader that ended to arrive. */
  lastWords = 50
}

const reconnect: Loss = { code: Lost.handover, reason: '' }

export interface TabsOptions {
  /** What the tabs have in common. */
  name: string
  WebSocket: WebSocketConstructor
  /** Another tab waits for this one to connect. */
  onAwaited: () => void
}

export interface Tabs {
  /** As `new WebSocket` does; `since` is what it resumes with. The one that was opened before must be closed. */
  open (url: string, protocols: string[], since: string): WebSocketLike
  /** Makes room for another leader, and is deaf from now on. */
  leave (): void
}

/** The socket that a client believes to have. */
interface SharedSocket extends Partial<WebSocketLike> {
  readonly id: string
  /** Throws what the WebSocket's constructor throws. */
  readonly connect: () => WebSocketLike
  readonly since: string
  /** It got its ack from the leader. */
  isJoined?: boolean
  /** Whom it listens to; not known until there is word of one. */
  leader?: string
}

/** What tabs tell each other; `from` is a tab, `id` a socket that is to join. */
type Word = { from: string } & (
  | { is: 'leading' }
  | { is: 'joining', id: string, since: string }
  /** The ack, and what was missed; nothing yet while the leader is not connected. */
  | { is: 'answer', id: string, frames: string[] }
  | { is: 'heard', frame: string }
  | { is: 'lost', how: Loss }
  | { is: 'saying', frame: string }
)

type Said = Word extends infer W ? W extends Word ? Omit<W, 'from'> : never : never

/** Whether tabs can share here: a page not served over https has no locks. */
export function canShare (): boolean {
  return !!locksOf()?.request && typeof BroadcastChannel === 'function'
}

/**
 * One WebSocket for all tabs of the same name. The tab that holds a lock leads: it has the real socket, and passes on
 * what is heard and said. Each tab's client believes that it has a socket of its own: it resumes with its own positions,
 * and sends again what was not answered. So a leader may vanish at any time.
 */
export function joinTabs ({ name, WebSocket, onAwaited }: TabsOptions): Tabs {
  const self = random()
  const channel = new BroadcastChannel(name)
  const latest = recent()
  let socket: SharedSocket | undefined
  let impatience: Timer
  let isLeading = false
  /** For the lock: gives it up, or the wait for it. */
  let request: AbortController | undefined

  // What only the leader has.
  let real: WebSocketLike | undefined
  let ack: Envelope | undefined
  let toSay: string[] = []
  /** Bytes of the largest frame that was said on this connection. */
  let largest = 0

  /** The clients keep the pace each for itself, but are one connection to the server. */
  const pace = paced(() => {
    const frame = toSay.shift()
    if (frame === undefined) return false
    largest = Math.max(largest, bytesOf(frame))
    real!.send(frame)
    return true
  })

  const tell = (said: Said): void => channel.postMessage({ ...said, from: self })

  /** Stands for leader: at its turn, or at once in place of one that does not answer. */
  const stand = (steal = false): void => {
    request?.abort()
    const { signal } = request = new AbortController()
    let isHeld = false
    const hold = () => new Promise<void>(resolve => {
      isHeld = true
      signal.onabort = () => resolve()
      // What the last leader said of its end may still be on its way.
      after(socket?.isJoined ? Ms.lastWords : 0, () => lead(signal))
    })
    locksOf()!.request(name, steal ? { steal } : { signal }, hold).catch(() => {
      // There are pages which may not have locks.
      if (!isHeld) return lead(signal)
      // Another one took it, while this tab was suspended.
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
    if (socket?.isJoined) return close(reconnect)
    try {
      if (socket) connect(socket)
    } catch {
      // Thrown again, and to its client, when that tries again.
      close(reconnect)
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
  }

  /** This tab's client has done with its socket, or has to do without. */
  const hangUp = (code?: number): void => {
    clearTimeout(impatience)
    if (real) {
      real.onmessage = real.onclose = null
      real.close(code)
      letGo()
      tell({ is: 'lost', how: reconnect })
    }
    close(reconnect)
  }

  const close = (how: Loss): void => {
    const closed = socket
    socket = undefined
    closed?.onerror?.({ message: how.fault })
    closed?.onclose?.(how)
  }

  const hear = (frame: string): void => {
    const envelope = parse(frame)
    const isAck = envelope?.type === 'connection_ack'
    // The leader's credential is its own business.
    if (!isAck && envelope?.type !== 'renewed') tell({ is: 'heard', frame })
    if (isAck) {
      ack = envelope
      pace.start((ack.data as Ack).limits)
    }
    receive(frame)
    // Who waits for it joins now.
    if (isAck) tell({ is: 'leading' })
  }

  const receive = (frame: string): void => {
    const envelope = parse(frame)
    if (envelope) latest.hear(envelope, frame)
    socket?.onmessage?.({ data: frame })
  }

  const join = ({ id, since }: SharedSocket): void => {
    tell({ is: 'joining', id, since })
    clearTimeout(impatience)
    impatience = after(Ms.patience, () => stand(true))
  }

  const answer = (id: string, since: string): void => {
    if (!ack) return tell({ is: 'answer', id, frames: [] })
    const missed = since ? latest.after(since) : []
    const data = {
      ...ack.data as Ack,
      // Where it starts: what was missed comes after.
      position: (missed && since) || latest.position,
      recovered: since ? missed !== undefined : undefined,
      // So that it does not renew what is not its own.
      expires_in_ms: undefined
    }
    tell({ is: 'answer', id, frames: [JSON.stringify({ ...ack, data }), ...missed ?? []] })
  }

  const say = (frame: string): void => {
    if (!ack) return
    toSay.push(frame)
    pace.run()
  }

  const serve = (word: Word): void => {
    if (word.is === 'saying') return say(word.frame)
    if (word.is !== 'joining') return
    answer(word.id, word.since)
    if (!real) onAwaited()
  }

  const follow = (word: Word, shared: SharedSocket): void => {
    if (word.is === 'leading') {
      if (shared.isJoined) return close(reconnect)
      shared.leader = word.from
      return join(shared)
    }
    // A last word of one that leads no more.
    if ((shared.leader ?? word.from) !== word.from) return
    if (word.is === 'lost') close(word.how)
    else if (word.is === 'heard' && shared.isJoined) receive(word.frame)
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
        id: random(),
        connect: () => new WebSocket(url, protocols),
        since,
        send: frame => isLeading ? say(frame) : tell({ is: 'saying', frame }),
        close: code => { if (socket === shared) hangUp(code) }
      }
      if (isLeading) connect(shared)
      else join(shared)
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

interface Locks {
  request (name: string, options: object, callback: () => Promise<void> | undefined): Promise<void>
}

function locksOf (): Locks | undefined {
  return (globalThis as { navigator?: { locks?: Locks } }).navigator?.locks
}
