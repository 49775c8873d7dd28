import { after, type Timer } from './clock.js'

/** A credential, for an attempt to connect or to go on with a connection. `isRefused`: the last one was. */
export type GetToken = (reason: { isRefused: boolean }) => string | undefined | Promise<string | undefined>

const enum Part {
  /** Of a credential's time: then a new one is fetched. */
  renewAt = 0.8
}

interface RenewalOptions {
  /** Read each time: it may come and go. */
  options: { readonly getToken?: GetToken | undefined }
  /** Sends the new credential. A server that cannot renew answers `unknown_type`, and closes with 4401 in time. */
  send: (token: string) => void
  report: (error: unknown) => void
}

/**
 * Renews the credential of an open connection in time. Where that fails the server closes with 4401, and a reconnect brings
 * a new one. Call it with the milliseconds until the credential expires; without a number it never does.
 */
export function renewal ({ options, send, report }: RenewalOptions): (expiresIn?: number) => void {
  let timer: Timer
  const renew = async (current: Timer): Promise<void> => {
    try {
      const token = await options.getToken?.({ isRefused: false })
      if (token && current === timer) send(token)
    } catch (error) {
      report(error)
    }
  }
  return expiresIn => {
    clearTimeout(timer)
    timer = expiresIn! >= 0 ? after(expiresIn! * Part.renewAt, () => renew(timer)) : undefined
  }
}
