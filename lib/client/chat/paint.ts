/** Maximum time to wait for a frame of the screen, in ms: a hidden page has none. */
const patience = 100

interface Screen {
  requestAnimationFrame?: (action: () => void) => number
  cancelAnimationFrame?: (handle: number) => void
}

/**
 * Calls `action` once before the next frame of the screen: on a hidden page in a timer, and without a screen in the next turn of the
 * event loop.
 */
export function beforePaint (action: () => void): void {
  const screen = globalThis as Screen
  const act = () => {
    clearTimeout(timer)
    if (frame !== undefined) screen.cancelAnimationFrame?.(frame)
    action()
  }
  const frame = screen.requestAnimationFrame?.(act)
  const timer = setTimeout(act, frame === undefined ? 0 : patience)
}
