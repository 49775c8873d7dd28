import { closeCodes } from '../protocol/close-codes.js'
import type { ControlMessages, Envelope } from '../protocol/envelope.js'
import { parse } from './frame.js'
import { random } from './outbox.js'
import { Recent } from './recent.js'
import type { WebSocketConstructor, WebSocketLike } from './socket.js'

/** For a leader to say that it is there, in milliseconds: one that does not was suspended by the browser. */
const patience = 5_000

/** Come back at once: somebody else leads. */
const reconnect = { code: closeCodes.TOO_SLOW.code, reason: '' }

/** For the words of a leader that ended to arrive, in milliseconds. */
const lastWords = 50

export interface TabsOptions {
  /** What the tabs have in common. */
  name: string
  WebSocket: WebSocketConstructor
  /** Messages per second, and at once, that the server takes from a connection. */
  pace: { rate: number, burst: number }
  /** Another tab waits for this one to connect. */
  onAwaited: () => void
}

/** The socket that a client believes to have. */
interface SharedSocket extends WebSocketLike {
  readonly id: string
  readonly url: string
  readonly protocols: string[]
  /** It got its ack from the leader. */
  isJoined: boolean
  /** Whom it listens to; not known until there is word of one. */
  leader?: string
}

/** What tabs tell each other; `from` is a tab, `id` a socket that is to join. */
type Word = { from: string } & (
  | { is: 'leading' }
  | { is: 'joining', id: string, since: string | null }
  /** The ack, and what was missed; nothing yet while the leader is not connected. */
  | { is: 'answer', id: string, frames: string[] }
  | { is: 'heard', frame: string }
  | { is: 'lost', how: Close }
  | { is: 'saying', frame: string }
)

type Said = Word extends infer W ? W extends Word ? Omit<W, 'from'> : never : never

/** Whether tabs can share here. Every browser with Web Locks has BroadcastChannel; a page not served over https has no locks. */
export function canShare (): boolean {
  return locksOf() !== undefined
}

/**
 * One WebSocket for all tabs of the same name. The tab that holds a lock leads: it has the real socket, and passes on
 * what is heard and said. Each tab's client believes that it has a socket of its own: it resumes with its own positions,
 * and sends again what was not answered. So a leader may vanish at any time.
 */
export class Tabs {
  readonly #options: TabsOptions
  readonly #id = random()
  readonly #channel: InstanceType<typeof BroadcastChannel>
  readonly #recent = new Recent()
  #socket: SharedSocket | undefined
  #impatience: Timer
  #isLeading = false
  /** For the lock: gives it up, or the wait for it. */
  #request: AbortController | undefined

  // What only the leader has.
  #real: WebSocketLike | undefined
  #ack: Envelope | undefined
  /** Who joins once there is an ack: sockets with their `since`. */
  readonly #joining = new Map<string, string | null>()
  #toSay: string[] = []
  #tokens = 0
  #saidAt = 0
  #sayTimer: Timer

  constructor (options: TabsOptions) {
    this.#options = options
    this.#channel = new BroadcastChannel(options.name)
    this.#channel.onmessage = event => this.#listen((event as { data: Word }).data)
    this.#stand()
  }

  /** As `new WebSocket` does. The one that was opened before must be closed. */
  open (url: string, protocols: string[]): WebSocketLike {
    const socket: SharedSocket = {
      id: random(),
      url,
      protocols,
      isJoined: false,
      onmessage: null,
      onclose: null,
      onerror: null,
      send: frame => this.#isLeading ? this.#say(frame) : this.#tell({ is: 'saying', frame }),
      close: code => { if (this.#socket === socket) this.#hangUp(code) }
    }
    if (this.#isLeading) this.#connect(socket)
    else this.#join(socket)
    this.#socket = socket
    return socket
  }

  /** Makes room for another leader, and is deaf from now on. */
  leave (): void {
    this.#hangUp()
    this.#isLeading = false
    this.#channel.close()
    this.#request!.abort()
  }

  /** Stands for leader: at its turn, or at once in place of one that does not answer. */
  #stand (steal = false): void {
    this.#request?.abort()
    const request = this.#request = new AbortController()
    const { signal } = request
    let isHeld = false
    const hold = () => new Promise<void>(resolve => {
      isHeld = true
      signal.onabort = () => resolve()
      // What the last leader said of its end may still be on its way.
      setTimeout(() => this.#lead(signal), this.#socket?.isJoined ? lastWords : 0)
    })
    locksOf()!.request(this.#options.name, steal ? { steal } : { signal }, hold).catch(() => {
      // There are pages which may not have locks.
      if (!isHeld) return this.#lead(signal)
      // Another one took it, while this tab was suspended.
      this.#hangUp()
      this.#isLeading = false
      this.#stand()
    })
  }

  #lead (signal: AbortSignal): void {
    if (signal.aborted) return
    clearTimeout(this.#impatience)
    this.#isLeading = true
    this.#tell({ is: 'leading' })
    const socket = this.#socket
    if (socket === undefined) return
    if (socket.isJoined) return this.#close(reconnect)
    try {
      this.#connect(socket)
    } catch {
      // Thrown again, and to its client, when that tries again.
      this.#close(reconnect)
    }
  }

  #connect ({ url, protocols }: SharedSocket): void {
    const real = this.#real = new this.#options.WebSocket(url, protocols)
    this.#tokens = this.#options.pace.burst
    real.onmessage = ({ data }) => this.#hear(String(data))
    real.onclose = ({ code, reason }) => {
      const how = { code, reason }
      this.#letGo()
      this.#tell({ is: 'lost', how })
      this.#close(how)
    }
    real.onerror = () => {}
  }

  #letGo (): void {
    this.#real = this.#ack = undefined
    this.#joining.clear()
    this.#toSay = []
    clearTimeout(this.#sayTimer)
  }

  /** This tab's client has done with its socket, or has to do without. */
  #hangUp (code?: number): void {
    clearTimeout(this.#impatience)
    const real = this.#real
    if (real !== undefined) {
      this.#letGo()
      real.onmessage = real.onclose = null
      real.close(code)
      this.#tell({ is: 'lost', how: reconnect })
    }
    this.#close(reconnect)
  }

  #close (how: Close): void {
    const socket = this.#socket
    this.#socket = undefined
    socket?.onclose?.(how)
  }

  #hear (frame: string): void {
    const envelope = parse(frame)
    const isAck = envelope?.type === 'connection_ack'
    // The leader's credential is its own business.
    if (!isAck && envelope?.type !== 'renewed') this.#tell({ is: 'heard', frame })
    if (isAck) this.#ack = envelope
    this.#receive(frame, envelope)
    if (!isAck) return
    for (const [id, since] of this.#joining) this.#answer(id, since)
    this.#joining.clear()
  }

  #receive (frame: string, envelope = parse(frame)): void {
    if (envelope !== undefined) this.#recent.hear(envelope, frame)
    this.#socket?.onmessage?.({ data: frame })
  }

  #join (socket: SharedSocket): void {
    const since = new URL(socket.url).searchParams.get('since')
    this.#tell({ is: 'joining', id: socket.id, since })
    clearTimeout(this.#impatience)
    this.#impatience = setTimeout(() => this.#stand(true), patience)
  }

  #answer (id: string, since: string | null): void {
    if (this.#ack === undefined) return
    const missed = since === null ? [] : this.#recent.after(since)
    const data = {
      ...this.#ack.data as ControlMessages['connection_ack'],
      // Where it starts: what was missed comes after.
      position: (missed && since) || this.#recent.position,
      recovered: since === null ? undefined : missed !== undefined,
      // So that it does not renew what is not its own.
      expires_in_ms: undefined
    }
    this.#tell({ is: 'answer', id, frames: [JSON.stringify({ ...this.#ack, data }), ...missed ?? []] })
  }

  /** The clients keep the pace each for itself, but are one connection to the server. */
  #say (frame?: string): void {
    if (this.#ack === undefined) return
    const { rate, burst } = this.#options.pace
    if (frame !== undefined) this.#toSay.push(frame)
    const now = performance.now()
    this.#tokens = Math.min(burst, this.#tokens + (now - this.#saidAt) * rate / 1000)
    this.#saidAt = now
    for (; this.#tokens >= 1 && this.#toSay.length > 0; this.#tokens--) this.#real!.send(this.#toSay.shift()!)
    clearTimeout(this.#sayTimer)
    if (this.#toSay.length > 0) this.#sayTimer = setTimeout(() => this.#say(), 1000 / rate)
  }

  #tell (said: Said): void {
    this.#channel.postMessage({ ...said, from: this.#id })
  }

  #listen (word: Word): void {
    if (this.#isLeading) this.#serve(word)
    else if (this.#socket !== undefined) this.#follow(word, this.#socket)
  }

  #serve (word: Word): void {
    if (word.is === 'saying') return this.#say(word.frame)
    if (word.is !== 'joining') return
    const { id, since } = word
    if (this.#ack !== undefined) return this.#answer(id, since)
    this.#joining.set(id, since)
    this.#tell({ is: 'answer', id, frames: [] })
    if (this.#real === undefined) this.#options.onAwaited()
  }

  #follow (word: Word, socket: SharedSocket): void {
    if (word.is === 'leading') {
      if (socket.isJoined) return this.#close(reconnect)
      socket.leader = word.from
      return this.#join(socket)
    }
    // A last word of one that leads no more.
    if ((socket.leader ?? word.from) !== word.from) return
    if (word.is === 'lost') this.#close(word.how)
    else if (word.is === 'heard' && socket.isJoined) this.#receive(word.frame)
    else if (word.is === 'answer' && word.id === socket.id && !socket.isJoined) this.#joined(word, socket)
  }

  #joined ({ from, frames }: { from: string, frames: string[] }, socket: SharedSocket): void {
    clearTimeout(this.#impatience)
    socket.leader = from
    socket.isJoined = frames.length > 0
    for (const frame of frames) this.#receive(frame)
  }
}

interface Close {
  code: number
  reason: string
}

type Timer = ReturnType<typeof setTimeout> | undefined

interface Locks {
  request (name: string, options: object, callback: () => Promise<void> | undefined): Promise<void>
}

function locksOf (): Locks | undefined {
  return (globalThis as { navigator?: { locks?: Locks } }).navigator?.locks
}
