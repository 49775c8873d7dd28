import { createElement, StrictMode, useEffect, type ReactElement, type ReactNode } from 'react'
import { createRoot } from 'react-dom/client'
import { eventually, patience } from '../waiting.js'

/** The part of a document that React needs for components that render nothing. */
const document = { nodeType: 9, addEventListener () {}, activeElement: null as unknown }
Object.assign(document, { documentElement: document, body: document, defaultView: globalThis, ownerDocument: document })
Object.assign(globalThis, { window: globalThis, HTMLIFrameElement: class {} })

export interface Rendered {
  render (element: ReactElement): void
  /** Resolves when the latest render is committed, and its effects have run. */
  committed (): Promise<void>
  /** Unmounts the components, and runs the cleanups of all effects. */
  unmount (): void
}

interface RootProps {
  number: number
  onEffect: (number: number) => void
  children?: ReactNode
}

/** React runs the effects of a parent after those of its children. */
function Root ({ number, onEffect, children }: RootProps): ReactNode {
  useEffect(() => onEffect(number), [number, onEffect])
  return children
}

/** Throws outside React, so that an error without a boundary fails the test. */
function onUncaughtError (error: unknown): void {
  queueMicrotask(() => { throw error })
}

/** Mounts components that render nothing under StrictMode, with their effects, like in a browser. */
export function mount (t: { teardown (action: () => void): void }, element: ReactElement): Rendered {
  const container = { nodeType: 1, nodeName: 'DIV', tagName: 'DIV', ownerDocument: document, addEventListener () {}, textContent: '' }
  const root = createRoot(container as unknown as Parameters<typeof createRoot>[0], { onUncaughtError })
  let rendered = 0
  let committed = 0
  const onEffect = (number: number) => { committed = number }
  const render = (element: ReactElement) =>
    root.render(createElement(StrictMode, null, createElement(Root, { number: ++rendered, onEffect }, element)))
  t.teardown(() => root.unmount())
  render(element)
  return { render, committed: () => eventually(() => committed === rendered, patience), unmount: () => root.unmount() }
}
