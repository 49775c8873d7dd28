import { useEffect, useId, useRef, useState } from 'react'
import { useMessages, useNotifications, type Notification } from 'fastify-realtime/react'
import { loadState } from './api.js'
import type { Toast } from './toasts.jsx'

const types = ['notification', 'system_announcement'] as const

/** Number of unread notifications, and their list. Closing the list marks them as read. */
export function Bell ({ user, toast }: { user: string, toast: (toast: Toast) => void }) {
  const { notifications, unread, markRead } = useNotifications({ types, load: async () => (await loadState(user)).messages })
  useMessages('notification', data => toast({ from: user, text: data!.title }))
  useMessages('system_announcement', (_data, { message = '' }) => toast({ from: user, text: message }))
  const id = useId()
  const [isOpen, setOpen] = useState(false)
  const button = useRef<HTMLButtonElement>(null)
  const inbox = useRef<HTMLElement>(null)

  useEffect(() => {
    if (!isOpen) return
    inbox.current!.focus()
    const close = () => {
      setOpen(false)
      markRead()
    }
    const onKey = ({ key }: KeyboardEvent) => {
      if (key !== 'Escape') return
      close()
      button.current!.focus()
    }
    const isInside = (target: EventTarget | null) => button.current!.parentElement!.contains(target as Node)
    const onClick = ({ target }: MouseEvent) => { if (!isInside(target)) close() }
    document.addEventListener('keydown', onKey)
    document.addEventListener('click', onClick)
    return () => {
      document.removeEventListener('keydown', onKey)
      document.removeEventListener('click', onClick)
    }
  }, [isOpen, markRead])

  const onClick = () => {
    if (isOpen) markRead()
    setOpen(!isOpen)
  }
  return (
    <div className='bell'>
      <button
        ref={button} type='button' aria-label={unread === 0 ? 'Notifications' : `Notifications, ${unread} unread`}
        aria-expanded={isOpen} aria-controls={id} onClick={onClick}
      >
        <svg viewBox='0 0 24 24' aria-hidden='true'>
          <path d='M6 9.5a6 6 0 0 1 12 0c0 5 2 6.5 2 6.5H4s2-1.5 2-6.5Z' /><path d='M10 19.5a2.2 2.2 0 0 0 4 0' />
        </svg>
        {unread > 0 && <span className='unread' aria-hidden='true'>{unread > 99 ? '99+' : unread}</span>}
      </button>
      <section ref={inbox} id={id} className='inbox' aria-label={`Notifications of ${user}`} tabIndex={-1} hidden={!isOpen}>
        <h3>Notifications</h3>
        {notifications.length === 0 && <p className='empty'>Nothing yet.</p>}
        <ul>{notifications.map(each => <Entry key={each.id} {...each} />)}</ul>
      </section>
    </div>
  )
}

function Entry ({ type, title, message, timestamp, isRead }: Notification) {
  const text = type === 'system_announcement' ? 'Announcement to everyone' : message
  return (
    <li className={isRead ? undefined : 'new'}>
      <div className='top'>
        <b>{title}</b>
        <time dateTime={timestamp}>{new Date(timestamp).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })}</time>
      </div>
      {text && <p className='muted'>{text}</p>}
    </li>
  )
}
