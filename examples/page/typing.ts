import { useCallback, useEffect, useRef } from 'react'

/** Time without input after which a user is no longer shown as typing, in ms. */
const pause = 2_000

/** Returns a function for the event `input`. Calls `update` with whether the user types; it may be called often. */
export function useTyping (update: (isTyping: boolean) => void): () => void {
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => () => clearTimeout(timer.current), [])
  return useCallback(() => {
    clearTimeout(timer.current)
    timer.current = setTimeout(() => update(false), pause)
    update(true)
  }, [update])
}
