/** Whose notifications, or which chat of whom: the ids in a path. */
export interface PathIds {
  readonly userId: string
  readonly chat?: { readonly workflow: string, readonly appId: string, readonly chatId: string } | undefined
}

/** The path of a channel route, below the prefix. */
export function pathOf ({ userId, chat }: PathIds): string {
  const segments = chat === undefined ? ['notifications', userId] : [chat.workflow, chat.appId, chat.chatId, userId]
  return segments.map(segment => `/${encodeURIComponent(segment)}`).join('')
}
