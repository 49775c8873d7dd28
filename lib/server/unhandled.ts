/** Why a message of a client has no handler, and what gives it one. */
export function unhandled (type: string): string {
  if (type === 'renew') return "this server renews no credentials: it has no option 'renew'. Connect anew with the new one"
  return `no handler for '${type}'. It needs one in the option 'onMessage' of the server`
}
