import type { AddressInfo } from 'node:net'
import type { FastifyBaseLogger, FastifyRequest } from 'fastify'
import warnings from 'process-warning'
import { closeCode, type CloseCode } from '../../protocol/close-codes.js'
import { caught, write } from '../reports/caught.js'
import type { Target } from '../target.js'
import type { Authenticate, Authorize, Identity } from '../hooks.js'
import { expiry, identityOf, IdentityFault, describeValue } from './identity.js'
import { isLocal, isLoopback, isLoopbackHost } from './local.js'
import { hostOf, originFault } from './origin.js'
import { quoted } from './quoted.js'
import { redacted, secretsOf } from '../reports/redacted.js'
import { refusalReasons, type RefusalReason } from '../reports/refusal-reasons.js'
import type { Refusals } from '../reports/refusals.js'
import { addressOf, clientOf } from '../handshake/refused-request.js'
import type { Timers } from '../../time/timers.js'
import { chain, chainResult, isPromise, type Awaitable } from '../../time/awaitable.js'
import { TimeoutError, within } from '../../time/within.js'

export interface AccessOptions {
  authenticate?: Authenticate
  authorize?: Authorize
  insecure: boolean
  allowedOrigins?: string[]
  /** Maximum time for `authenticate` and `authorize` together, in ms. */
  timeout: number
  timers: Timers
  log: FastifyBaseLogger
  refusals: Refusals
}

/** Result of a handshake: an identity, or the close code of a refusal. */
export type Verdict =
  | { identity: Identity, isHidden: boolean, refusal?: undefined }
  | { identity?: undefined, refusal: CloseCode }

/** Why `authenticate` or `authorize` did not admit a client. */
interface Denial {
  identity?: undefined
  reason: RefusalReason
  /** User that `authenticate` returned. */
  userId?: string
  detail?: string
  thrown?: Error
}

type Decision = { identity: Identity, isHidden: boolean } | Denial

/** Whether an identity may connect to a target. */
export interface TargetDecision {
  /** Why it may not. */
  readonly denial: Denial | undefined
  /** Whether it is not listed in the presence of the target. */
  readonly isHidden: boolean
}

const cure = "Pass 'authenticate' to fastify-realtime, or 'insecure: true' if a proxy in front of this server authenticates the clients"

const inDevelopment = warnings.createWarning({
  name: 'FastifyRealtimeWarning',
  code: 'RT_WARN_DEVELOPMENT',
  message: `development mode: any client on this machine can connect as any user. ${cure}`
})

/** Emitted beside the log line, because an app in development often has no logger. */
const exposed = warnings.createWarning({ name: 'FastifyRealtimeWarning', code: 'RT_WARN_EXPOSED', message: '%s' })

/** Decides which clients may connect. */
export class Access {
  readonly #options: AccessOptions
  /** Development mode, without `authenticate` and `insecure`: only this machine may connect. */
  readonly #isDevelopment: boolean
  /** In development mode, an address of the server that other machines can reach. */
  #exposedAt: string | undefined

  constructor (options: AccessOptions) {
    this.#options = options
    this.#isDevelopment = options.authenticate === undefined && !options.insecure
    if (this.#isDevelopment) inDevelopment()
  }

  /** Takes the addresses of the server. In development mode, an address other than loopback makes it refuse every connection. */
  listening (addresses: Array<AddressInfo | string>): void {
    if (!this.#isDevelopment) return
    const reachable = addresses.find(address => typeof address === 'string' || !isLoopback(address.address))
    if (reachable === undefined) return
    this.#exposedAt = typeof reachable === 'string' ? reachable : reachable.address
    const text = `refusing every connection: ${this.#exposed()}`
    write(this.#options.log, 'error', {}, text)
    exposed(text)
  }

  #exposed (): string {
    return `without 'authenticate' this server must listen on localhost, and it listens on ${this.#exposedAt}. ${cure}`
  }

  /** Reason to refuse a request with HTTP 403 before `authenticate` runs; `undefined` if there is none. */
  forbids (request: FastifyRequest): string | undefined {
    const fault = this.#originFault(request)
    if (fault !== undefined) return this.#forbid('foreign_origin', request, fault)
    if (!this.#isDevelopment) return undefined
    if (this.#exposedAt !== undefined) return this.#forbid('development', request, this.#exposed())
    if (isLocal(request)) return undefined
    const rule = "without 'authenticate' only clients on this machine may connect, and not through a proxy"
    return this.#forbid('development', request, `${rule}. ${cure}`)
  }

  #forbid (reason: RefusalReason, request: FastifyRequest, why: string): string {
    this.#options.refusals.add(reason, clientOf(request), why)
    return why
  }

  #originFault ({ headers: { origin, host } }: FastifyRequest): string | undefined {
    if (origin === undefined) return undefined
    if (!this.#isDevelopment || isLoopbackHost(hostOf(origin))) return originFault(origin, host, this.#options.allowedOrigins)
    return `without 'authenticate' only pages of this machine may connect, and this one comes from ${quoted(origin)}. ${cure}`
  }

  /** Calls `authenticate` and `authorize`. Returns the verdict at once if they do not return promises. Never throws or rejects. */
  admit (request: FastifyRequest, target: Target): Awaitable<Verdict> {
    return chain(this.#decideInTime(request, target), decision => {
      if (decision.identity !== undefined) return decision
      const { reason, userId = target.userId, detail, thrown } = decision
      const error = thrown && (() => redacted(thrown, secretsOf(request)))
      this.#options.refusals.add(reason, { userId, remoteAddress: addressOf(request) }, detail, error)
      return { refusal: closeCode(Number(refusalReasons[reason].code))! }
    })
  }

  #decideInTime (request: FastifyRequest, target: Target): Awaitable<Decision> {
    const { authenticate, timers, timeout } = this.#options
    if (authenticate === undefined) return { identity: { userId: target.userId }, isHidden: false }
    try {
      const decision = this.#ask(authenticate, request, target)
      return isPromise(decision) ? within(timeout, decision, timers).catch(denialOf) : decision
    } catch (thrown) {
      return denialOf(thrown)
    }
  }

  #ask (authenticate: Authenticate, request: FastifyRequest, target: Target): Awaitable<Decision> {
    return chain(identityOf('authenticate', authenticate(request)), identity => {
      if (identity === undefined) return { reason: 'unauthenticated' }
      if (expiry(identity) <= Date.now()) return { reason: 'credential_expired', userId: identity.userId }
      return chain(this.decide(identity, target), ({ denial, isHidden }) => denial ?? { identity, isHidden })
    })
  }

  /** Decides whether an identity may connect to a target. Throws or rejects with the error of `authorize`. */
  decide (identity: Identity, target: Target): Awaitable<TargetDecision> {
    return chainResult(this.#options.authorize?.(identity, target), returned => {
      const verdict = returned ?? undefined
      if (isHiding(verdict)) return { denial: undefined, isHidden: true }
      return { denial: this.#denial(verdict, identity, target), isHidden: false }
    })
  }

  #denial (verdict: unknown, { userId }: Identity, target: Target): Denial | undefined {
    if (verdict === true || (verdict === undefined && userId === target.userId)) return undefined
    if (verdict === undefined) return { reason: 'other_user', userId, detail: `The user of the path is ${target.userId}` }
    if (verdict === false) return { reason: 'not_authorized', userId }
    return { reason: 'invalid_verdict', userId, detail: `It returned ${describeValue(verdict)}` }
  }
}

/** Whether `authorize` admits a user without listing the user in the presence of the channel. */
export function isHiding (verdict: unknown): verdict is { presence: 'hidden' } {
  return typeof verdict === 'object' && verdict !== null && (verdict as { presence?: unknown }).presence === 'hidden'
}

/** Denial for an error of `authenticate` or `authorize`. */
function denialOf (thrown: unknown): Denial {
  const error = caught(thrown)
  if (error instanceof TimeoutError) return { reason: 'authenticate_timeout' }
  if (error instanceof IdentityFault) return { reason: 'invalid_identity', detail: error.message }
  if (isClientError(error)) return { reason: 'credential_refused', detail: codesOf(error) }
  return { reason: 'authenticate_failed', thrown: error }
}

/** Codes of an error. Its message is left out, because it may contain data of the client. */
export function codesOf (thrown: unknown): string {
  const { statusCode, code } = caught(thrown)
  const isCode = typeof code === 'string' && /^[A-Z][A-Z0-9_]{0,63}$/.test(code)
  return `The statusCode is ${statusCode}${isCode ? `, the code ${code}` : ''}`
}

/** Whether an error blames the credential, not the app: it has a 4xx `statusCode`. */
export function isClientError (thrown: unknown): boolean {
  const { statusCode: status } = caught(thrown)
  return typeof status === 'number' && status >= 400 && status < 500
}
