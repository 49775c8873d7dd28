import { createElement, StrictMode, type ReactElement } from 'react'
import { createRoot } from 'react-dom/client'

/** As much of a document as React needs for components that render nothing. */
const document = { nodeType: 9, addEventListener () {}, activeElement: null as unknown }
Object.assign(document, { documentElement: document, body: document, defaultView: globalThis, ownerDocument: document })
Object.assign(globalThis, { window: globalThis, HTMLIFrameElement: class {} })

export interface Rendered {
  render (element: ReactElement): void
  unmount (): void
}

/** Mounts components that render nothing under StrictMode, with their effects, as in a browser. */
export function mount (t: { teardown (action: () => void): void }, element: ReactElement): Rendered {
  const container = { nodeType: 1, nodeName: 'DIV', tagName: 'DIV', ownerDocument: document, addEventListener () {}, textContent: '' }
  const root = createRoot(container as unknown as Parameters<typeof createRoot>[0])
  const render = (element: ReactElement) => root.render(createElement(StrictMode, null, element))
  t.teardown(() => root.unmount())
  render(element)
  return { render, unmount: () => root.unmount() }
}
