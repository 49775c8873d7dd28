/** Part of `navigator.locks` (Web Locks) that tabs use. */
export interface Locks {
  request (name: string, options: object, callback: () => Promise<void> | undefined): Promise<void>
}

/** Returns what tabs need to share a connection; `undefined` where they cannot. Pages without https have no locks. */
export function locksToShare (): Locks | undefined {
  const { navigator, BroadcastChannel } = globalThis as { navigator?: { locks?: Locks }, BroadcastChannel?: unknown }
  return BroadcastChannel ? navigator?.locks : undefined
}
