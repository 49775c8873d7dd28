/** Beginning of the entry of a removal. The type is reserved, so no publication of the app begins with it. */
const beginning = '{"type":"unsubscribed","data":{"user_id":'

/** Entry of a channel's log by which all servers end the subscriptions of a user. */
export function removalOf (userId: string): string {
  return `${beginning}${JSON.stringify(userId)}}}`
}

/** User that an entry removes; `undefined` for a publication. */
export function removedUser (body: string): string | undefined {
  if (!body.startsWith(beginning)) return undefined
  return (JSON.parse(body) as { data: { user_id: string } }).data.user_id
}
