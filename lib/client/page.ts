interface PageTarget {
  addEventListener?: (event: string, action: (event: { type: string }) => void) => void
  removeEventListener?: PageTarget['addEventListener']
}

interface Host extends PageTarget {
  document?: PageTarget & { visibilityState?: string }
}

const host = globalThis as Host

/** Whether this is a hidden page. */
export function isHidden (): boolean {
  return host.document?.visibilityState === 'hidden'
}

/**
 * Calls `wake` when the network is back, when the page becomes visible, and when it runs again. Calls `sleep` before the page is frozen
 * or enters the back/forward cache. Returns a function that removes the listeners. Has no effect outside a page.
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
