import { IncomingMessage } from 'node:http'
import { isIPv4, type AddressInfo } from 'node:net'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import warnings from 'process-warning'
import { closeCodes, type CloseCode } from '../protocol/close-codes.js'
import { caught, report } from './caught.js'
import type { Target } from './channels.js'
import type { Authenticate, Authorize, Identity } from './hooks.js'
import { TimeoutError, type Timers } from './timers.js'

export interface AccessOptions {
  authenticate?: Authenticate
  authorize?: Authorize
  insecure: boolean
  allowedOrigins?: string[]
  /** Milliseconds for `authenticate` and `authorize` together. */
  timeout: number
  timers: Timers
  log: FastifyBaseLogger
}

/** What came of a handshake: an identity, or the code to close with. */
export type Verdict =
  | { identity: Identity, refusal?: undefined }
  | { identity?: undefined, refusal: CloseCode }

const cure = "Pass 'authenticate' to fastify-realtime, or 'insecure: true' if something in front of this server decides who may connect"

const inDevelopment = warnings.createWarning({
  name: 'FastifyRealtimeWarning',
  code: 'RT_WARN_DEVELOPMENT',
  message: `development mode, everyone on this machine can connect as anyone. ${cure}`
})

/** Who may connect. */
export class Access {
  readonly #options: AccessOptions
  /** Without `authenticate` and without `insecure`: for this machine alone. */
  readonly #isDevelopment: boolean
  /** Set once the server is found to listen where others can reach it. */
  #exposedAt: string | undefined

  constructor (options: AccessOptions) {
    this.#options = options
    this.#isDevelopment = options.authenticate === undefined && !options.insecure
    if (this.#isDevelopment) inDevelopment()
  }

  /** Told where the server listens: in development mode it must be on loopback only. */
  listening (addresses: Array<AddressInfo | string>): void {
    if (!this.#isDevelopment) return
    const exposed = addresses.find(address => typeof address === 'string' || !isLoopback(address.address))
    if (exposed === undefined) return
    this.#exposedAt = typeof exposed === 'string' ? exposed : exposed.address
    this.#options.log.error(`realtime: refusing every connection: ${this.#exposed()}`)
  }

  #exposed (): string {
    return `without 'authenticate' this server must listen on localhost, and it listens on ${this.#exposedAt}. ${cure}`
  }

  /** Why the request is refused with HTTP 403, before anything is asked; `undefined` when it is not. */
  forbids (request: FastifyRequest): string | undefined {
    const { origin, host } = request.headers
    if (origin !== undefined && !this.#isAllowed(origin, host)) return `the origin ${origin} is not this server's. Add it to 'allowedOrigins'`
    if (!this.#isDevelopment) return undefined
    if (this.#exposedAt !== undefined) return this.#exposed()
    if (!isLocal(request)) return `without 'authenticate' only this machine may connect, and not through a proxy. ${cure}`
    return undefined
  }

  /** Asks `authenticate` and `authorize`. Never rejects. */
  async admit (request: FastifyRequest, target: Target): Promise<Verdict> {
    const { authenticate, timers, timeout, log } = this.#options
    if (authenticate === undefined) return { identity: { userId: target.userId } }
    try {
      return await timers.within(timeout, this.#ask(authenticate, request, target))
    } catch (thrown) {
      const error = caught(thrown)
      if (error instanceof TimeoutError) return { refusal: closeCodes.AUTHENTICATION_TIMEOUT }
      if (isClientError(error)) return { refusal: closeCodes.UNAUTHENTICATED }
      report(log, error, 'authenticate or authorize failed')
      return { refusal: closeCodes.HANDLER_FAILED }
    }
  }

  async #ask (authenticate: Authenticate, request: FastifyRequest, target: Target): Promise<Verdict> {
    const identity = await authenticate(request)
    if (identity === null || identity === undefined) return { refusal: closeCodes.UNAUTHENTICATED }
    if (typeof identity.userId !== 'string') throw new TypeError("'authenticate' must return { userId } with a string, or null")
    if (expiry(identity) <= Date.now()) return { refusal: closeCodes.UNAUTHENTICATED }
    return await this.allows(identity, target) ? { identity } : { refusal: closeCodes.FORBIDDEN }
  }

  /** Whether somebody may be connected to a target. Rejects with what `authorize` throws. */
  async allows (identity: Identity, target: Target): Promise<boolean> {
    const answer = await this.#options.authorize?.(identity, target) ?? identity.userId === target.userId
    return answer === true
  }

  #isAllowed (origin: string, host: string | undefined): boolean {
    const { allowedOrigins } = this.#options
    if (this.#isDevelopment && !isLoopbackHost(hostOf(origin))) return false
    if (allowedOrigins !== undefined) return allowedOrigins.includes(origin)
    return host !== undefined && isSameHost(origin, host)
  }
}

/** When an identity expires, in milliseconds since 1970; `Infinity` when it does not. Throws a TypeError when it is not a time. */
export function expiry ({ expiresAt }: Identity): number {
  if (expiresAt === undefined) return Infinity
  const time = Number(expiresAt)
  if (Number.isNaN(time)) throw new TypeError("'expiresAt' must be a Date, or milliseconds since 1970")
  return time
}

/** The credential is at fault, not the app: what was thrown has a 4xx `statusCode`. */
export function isClientError (thrown: unknown): boolean {
  const { statusCode: status } = caught(thrown)
  return typeof status === 'number' && status >= 400 && status < 500
}

/** With the origin's scheme, so that a default port counts the same whether it is written or not. */
function isSameHost (origin: string, host: string): boolean {
  if (!URL.canParse(origin)) return false
  const { protocol, host: originHost } = new URL(origin)
  const own = `${protocol}//${host}`
  return originHost !== '' && URL.canParse(own) && new URL(own).host === originHost
}

function hostOf (origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined
}

/** From this machine, to this machine, and not passed on by a proxy that says so. */
function isLocal ({ raw, headers }: FastifyRequest): boolean {
  // A request that no socket brought is one that `inject` or `injectWS` made in this process.
  const isPeerLocal = !(raw instanceof IncomingMessage) || isLoopback(raw.socket.remoteAddress)
  const isForwarded = Object.keys(headers).some(name => name === 'forwarded' || name === 'via' || name.startsWith('x-forwarded-'))
  return isPeerLocal && !isForwarded && (headers.host === undefined ? !(raw instanceof IncomingMessage) : isLoopbackHost(headers.host))
}

function isLoopbackHost (host: string | undefined): boolean {
  if (host === undefined || !URL.canParse(`http://${host}`)) return false
  const { hostname } = new URL(`http://${host}`)
  return hostname === 'localhost' || isLoopback(hostname.replace(/^\[(.*)\]$/, '$1'))
}

function isLoopback (address: string | undefined): boolean {
  if (address === undefined) return false
  const plain = address.replace(/^::ffff:/, '')
  return address === '::1' || (isIPv4(plain) && plain.startsWith('127.'))
}
