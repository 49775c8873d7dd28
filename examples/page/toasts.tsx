import { useCallback, useState } from 'react'

export interface Toast {
  /** The user that it is shown to. */
  from: string
  text: string
  isError?: boolean
}

interface Shown extends Toast {
  key: number
}

/** How long one is shown, in milliseconds; an error stays, it is nowhere else. */
const showFor = 6_000

/** So many at a time, the newest. */
const max = 3

export function useToasts () {
  const [list, setList] = useState<readonly Shown[]>([])
  const dismiss = useCallback((key: number) => setList(list => list.filter(each => each.key !== key)), [])
  const add = useCallback((toast: Toast) => {
    const key = Math.random()
    setList(list => [...list, { ...toast, key }].slice(-max))
    if (toast.isError !== true) setTimeout(() => dismiss(key), showFor)
  }, [dismiss])
  return { list, add, dismiss }
}

export function Toasts ({ toasts: { list, dismiss } }: { toasts: ReturnType<typeof useToasts> }) {
  const view = ({ key, from, text, isError }: Shown) => (
    <div key={key} className={isError ? 'toast bad' : 'toast'}>
      <p><small>{from}</small>{text}</p>
      <button type='button' aria-label={`Dismiss: ${text}`} onClick={() => dismiss(key)}>×</button>
    </div>
  )
  return (
    <div className='toasts'>
      <div role='status' aria-label='News'>{list.filter(({ isError }) => !isError).map(view)}</div>
      <div role='alert' aria-label='Errors'>{list.filter(({ isError }) => isError).map(view)}</div>
    </div>
  )
}
