interface PageTarget {
  addEventListener?: (event: string, action: (event: { type: string }) => void) => void
  removeEventListener?: PageTarget['addEventListener']
}

interface Host extends PageTarget {
  document?: PageTarget & { visibilityState?: string }
}

const host = globalThis as Host

/** Whether this is a page that is not looked at. */
export function isHidden (): boolean {
  return host.document?.visibilityState === 'hidden'
}

/**
 * Calls `wake` when the network is back, or the page is looked at or runs again, and `sleep` before it is frozen or kept in
 * the back/forward cache. Returns what ends that. Does nothing where there is no page.
 */
export function watchPage (wake: () => void, sleep: () => void): () => void {
  const onEvent = ({ type }: { type: string }) => {
    if (/^(pagehide|freeze)$/.test(type)) sleep()
    else if (type !== 'visibilitychange' || !isHidden()) wake()
  }
  const each = (method: keyof PageTarget) => {
    for (const event of 'online pageshow pagehide resume freeze visibilitychange'.split(' ')) {
      host[method]?.(event, onEvent)
      host.document?.[method]?.(event, onEvent)
    }
  }
  each('addEventListener')
  return () => each('removeEventListener')
}
