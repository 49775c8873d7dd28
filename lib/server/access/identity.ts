import { types } from 'node:util'
import { isId } from '../../protocol/ids.js'
import { chainResult, type Awaitable } from '../../time/awaitable.js'
import { ignoreRejection } from '../reports/caught.js'
import type { Identity } from '../hooks.js'

/** A hook returned a value that is not an identity. The message describes the value without secrets, and names the cure. */
export class IdentityFault extends TypeError {}

/** Minimum of a time in ms since 1970: March 1973. Smaller numbers are seconds. */
const earliest = 1e11

/**
 * Checks the result of a hook; `undefined` if it is null or undefined. Throws, or rejects if the hook returned a promise, with an
 * IdentityFault or the error of the hook.
 */
export function identityOf (hook: 'authenticate' | 'renew', returned: unknown): Awaitable<Identity | undefined> {
  return chainResult(returned, identity => {
    if (identity === null || identity === undefined) return undefined
    const fault = faultOf(identity)
    if (fault !== undefined) throw new IdentityFault(`'${hook}' returned ${fault}`)
    return identity as Identity
  })
}

/** Time at which an identity expires, in ms since 1970; `Infinity` if it does not. */
export function expiry ({ expiresAt }: Identity): number {
  return expiresAt === undefined ? Infinity : Number(expiresAt)
}

/** Time until an identity expires, in ms, at least 0; `undefined` if it does not. */
export function expiresIn (identity: Identity): number | undefined {
  const at = expiry(identity)
  return at === Infinity ? undefined : Math.max(0, Math.ceil(at - Date.now()))
}

/** Reason why a new identity cannot replace the current one; `undefined` if it can. */
export function renewalFault (identity: Identity | undefined, userId: string): string | undefined {
  if (identity === undefined) return 'It returned null or undefined'
  if (identity.userId !== userId) return 'It returned another user'
  return expiry(identity) <= Date.now() ? "The 'expiresAt' that it returned has passed" : undefined
}

function faultOf (returned: unknown): string | undefined {
  try {
    // The rejection of a promise that the app forgot to await, in any field of the identity, must not end the process.
    for (const value of Object.values(Object(returned))) ignoreRejection(value)
    if (typeof returned !== 'object' || Array.isArray(returned)) {
      return `${describeValue(returned)}: return { userId } with the id of the user as a string, or null if no user is authenticated`
    }
    const { userId, expiresAt } = returned as Record<string, unknown>
    return userFault(userId) ?? expiryFault(expiresAt)
  } catch {
    return 'an object that cannot be read: return a plain { userId }'
  }
}

function userFault (userId: unknown): string | undefined {
  if (isId(userId)) return undefined
  if (userId === undefined) return 'an object without a userId: return { userId } with a string, or null when the credential names no user'
  if (userId === '') return "{ userId: '' }: return null if no user is authenticated"
  if (typeof userId === 'string') {
    return 'a userId that is not an id. Ids are 1 to 128 characters, letters, digits and _ . @ : + ~ - |: encode it, here and in the path of the client'
  }
  if (ignoreRejection(userId)) return '{ userId: a promise }: await it'
  const isMissing = userId === null || typeof userId === 'boolean'
  const cure = isMissing ? 'return { userId } with a string, or null if no user is authenticated' : 'an id is a string, write String(id)'
  return `{ userId: ${describeValue(userId)} }: ${cure}`
}

function expiryFault (expiresAt: unknown): string | undefined {
  if (expiresAt === undefined) return undefined
  const rule = 'It is a Date or milliseconds since 1970; leave it out when the credential does not expire'
  if (ignoreRejection(expiresAt)) return `{ expiresAt: a promise }: await it. ${rule}`
  const isTime = ['number', 'bigint', 'object'].includes(typeof expiresAt) && expiresAt !== null
  if (!isTime) return `{ expiresAt: ${describeValue(expiresAt)} }. ${rule}`
  const time = Number(expiresAt)
  if (Number.isNaN(time)) return `{ expiresAt: ${describeValue(expiresAt)} }, which is not a time. Does the credential have an 'exp'? ${rule}`
  if (time <= 0 || time >= earliest) return undefined
  const cure = types.isDate(expiresAt) ? 'write new Date(exp * 1000)' : 'write exp * 1000'
  return `{ expiresAt: ${describeValue(expiresAt)} }, which is in seconds: ${cure}. ${rule}`
}

/** Describes a value without secrets: the contents of numbers, times and constants, and only the type of other values. */
export function describeValue (value: unknown): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'number') return String(value)
  if (typeof value === 'bigint') return `${value}n`
  if (types.isDate(value)) return Number.isNaN(Number(value)) ? 'an invalid Date' : `the Date ${value.toISOString()}`
  if (typeof value === 'object') return Array.isArray(value) ? 'an array' : 'an object'
  return `a ${typeof value}`
}
