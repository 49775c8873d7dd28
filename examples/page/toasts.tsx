import { useCallback, useState } from 'react'

export interface Toast {
  /** User to whom the toast is shown. */
  from: string
  text: string
  isError?: boolean
}

interface Shown extends Toast {
  key: number
}

/** Time for which a toast is shown, in ms. An error stays, because it is shown nowhere else. */
const showFor = 6_000

/** Maximum number of toasts at a time. */
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
