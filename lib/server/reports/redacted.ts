import { inspect } from 'node:util'
import type { FastifyRequest } from 'fastify'
import { caught } from './caught.js'
import { tokenOf } from '../access/credential.js'

const mask = '[credential]'

/** Minimum characters of a secret: shorter ones occur in any text by chance. */
const minSecret = 4

/**
 * Error of a hook, for the log. Errors may repeat data of the client: that of `new URL(token)` has it as its `input`. An error that
 * contains a secret is copied without it, and without its cause and its other properties.
 */
export function redacted (thrown: unknown, secrets: string[]): Error {
  const error = caught(thrown)
  try {
    const text = inspect(error, { depth: 5, maxStringLength: Infinity, maxArrayLength: Infinity, breakLength: Infinity })
    if (!secrets.some(secret => text.includes(secret))) return error
    const clean = (part: string) => secrets.reduce((rest, secret) => rest.replaceAll(secret, mask), part)
    return Object.assign(new Error(clean(error.message)), { stack: clean(String(error.stack)) })
  } catch {
    return new Error('the thrown value cannot be read')
  }
}

/** Secrets of a request: its credential, decoded and raw, and its cookies. The longest first, because it may contain another. */
export function secretsOf (request: FastifyRequest): string[] {
  const { headers, url = '' } = request.raw
  const query = /[?&]token=([^&]*)/.exec(url)?.[1]
  const protocols = headers['sec-websocket-protocol']?.split(',').map(protocol => protocol.trim().replace(/^token\./, ''))
  const cookies = headers.cookie?.split(';').map(cookie => cookie.slice(cookie.indexOf('=') + 1).trim())
  const bearer = headers.authorization?.replace(/^\S+ +/, '')
  return [tokenOf(request), query, bearer, ...protocols ?? [], ...cookies ?? []]
    .filter(secret => secret !== undefined)
    .filter(secret => secret.length >= minSecret)
    .sort((a, b) => b.length - a.length)
}
