import type { Page } from 'playwright-core'
import type { Envelope } from '../../lib/index.js'

export const args = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync']
export const phone = { width: 390, height: 844 }

/** Records the URL of each WebSocket of the page, and the frames that it receives. */
export function watch (page: Page) {
  const connections: Array<{ path: string, since: string | null, received: Envelope[] }> = []
  page.on('websocket', socket => {
    const received: Envelope[] = []
    const { pathname, searchParams } = new URL(socket.url())
    connections.push({ path: pathname, since: searchParams.get('since'), received })
    socket.on('framereceived', ({ payload }) => received.push(JSON.parse(String(payload))))
  })
  return connections
}

/** Returns the controls without a name. */
export function unnamed (page: Page): Promise<string[]> {
  return page.evaluate(`[...document.querySelectorAll('input, button, a, progress')].filter(control =>
    !(control.ariaLabel || control.labels?.[0]?.textContent || control.textContent).trim()).map(({ outerHTML }) => outerHTML)`)
}

/** Returns the hosts of loaded resources, except the page's own. */
export function otherHosts (page: Page): Promise<string[]> {
  return page.evaluate("performance.getEntriesByType('resource').map(({ name }) => new URL(name).host).filter(host => host !== location.host)")
}
