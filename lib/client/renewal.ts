import { after, type Timer } from './clock.js'
import { attempt } from './listeners.js'

/** Returns the credential for an attempt to connect, or for an open connection. `isRefused`: the server refused the previous one. */
export type GetToken = (reason: { isRefused: boolean }) => string | undefined | Promise<string | undefined>

/** Fraction of a credential's lifetime after which a new one is fetched. */
const renewAt = 0.8

/**
 * Renews the credential of an open connection before it expires. When that fails, the server closes with 4401, and the client
 * reconnects with a new credential. Call the returned function with the time until the credential expires, in ms; without it, nothing
 * is renewed.
 *
 * `options`: read each time, because `getToken` may be set and removed later. `send`: sends the new credential. A server that cannot renew
 * answers `unknown_type`, and closes with 4401 when the old one expires.
 */
export function renewal (
  options: { readonly getToken?: GetToken | undefined }, send: (token: string) => void, report: (error: unknown) => void
): (expiresIn?: number) => void {
  let timer: Timer
  return expiresIn => {
    clearTimeout(timer)
    const renew = async (): Promise<void> => {
      const token = await options.getToken?.({ isRefused: false })
      if (token && current === timer) send(token)
    }
    const current = timer = expiresIn! >= 0 ? after(expiresIn! * renewAt, () => { attempt(renew, report) }) : undefined
  }
}
