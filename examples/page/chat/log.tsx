import { useEffect, useLayoutEffect, useRef } from 'react'
import type { ChatMessage, ShownChat } from 'fastify-realtime/react'
import { Item } from './items.jsx'

interface LogProps {
  label: string
  chat: Pick<ShownChat, 'items' | 'isComplete' | 'status'>
  loadOlder: () => Promise<void>
  retry: (message: ChatMessage) => void
  withdraw: (message: ChatMessage) => void
}

/** The conversation. A screen reader announces an answer when it is finished, not with each token. */
export function Log ({ label, chat: { items, isComplete, status }, loadOlder, retry, withdraw }: LogProps) {
  const { list, onScroll } = useScroll(items[0]?.id)
  const asked = items.flatMap(item => item.kind === 'question' && item.status === 'open' ? item.callId : [])
  return (
    <div ref={list} className='log' role='log' aria-label={label} aria-busy={status === 'streaming'} tabIndex={0} onScroll={onScroll}>
      {items.length > 0 && !isComplete && <Older before={items[0].id} load={loadOlder} />}
      {items.length === 0 && <p className='empty'>Nothing yet. Say something.</p>}
      <ol>
        {items.map(item => (
          <Item key={`${item.kind} ${item.id}`} item={item} isAsked={asked.includes(item.id)} retry={retry} withdraw={withdraw} />
        ))}
      </ol>
    </div>
  )
}

/** Button that loads older messages when it is scrolled into view or pressed. */
function Older ({ before, load }: { before: string, load: () => Promise<void> }) {
  const button = useRef<HTMLButtonElement>(null)
  const latest = useRef(load)
  useEffect(() => { latest.current = load })
  useEffect(() => {
    const observer = new IntersectionObserver(([{ isIntersecting }]) => { if (isIntersecting) latest.current() })
    observer.observe(button.current!)
    return () => observer.disconnect()
  }, [before])
  return <button ref={button} type='button' className='link older' onClick={() => load()}>Older messages</button>
}

/** Keeps the end in view while messages arrive, unless the user has scrolled away, and keeps the place when older messages are loaded. */
function useScroll (first: string | undefined) {
  const list = useRef<HTMLDivElement>(null)
  const isAtEnd = useRef(true)
  const before = useRef({ first, height: 0 })

  useLayoutEffect(() => {
    const { scrollHeight } = list.current!
    if (isAtEnd.current) list.current!.scrollTop = scrollHeight
    else if (before.current.first !== first) list.current!.scrollTop += scrollHeight - before.current.height
    before.current = { first, height: scrollHeight }
  })
  const onScroll = () => {
    const { scrollHeight, scrollTop, clientHeight } = list.current!
    isAtEnd.current = scrollHeight - scrollTop - clientHeight < 24
  }
  return { list, onScroll }
}
