/** Ids of a path, in the order of its segments. */
export interface PathIds {
  readonly workflow?: string
  readonly appId?: string
  readonly chatId?: string
  readonly userId?: string
}

/** Checks an id before it is appended to `path`. May throw. */
type Check = (name: string, id: unknown, path: string) => void

/** Returns the path of a channel route, below the prefix. */
export function pathOf (ids: PathIds, check?: Check): string {
  let path = ids.workflow ? '' : '/notifications'
  for (const [name, id] of Object.entries(ids)) {
    check?.(name, id, path)
    path += '/' + encodeURIComponent(id)
  }
  return path
}
