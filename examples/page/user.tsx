import { useCallback, useId, useState } from 'react'
import { useChannel, useMessages, usePresence, useResume, useStatus } from 'fastify-realtime/react'
import type { Figures } from './api.js'
import { Bell } from './bell.jsx'
import type { Cable } from './cable.js'
import { Connection } from './connection.jsx'
import { Send } from './send.jsx'
import { Tasks } from './tasks.jsx'
import type { Toast } from './toasts.jsx'
import { useTyping } from './typing.js'
import { Watchers } from './watchers.jsx'

interface UserProps {
  name: string
  /** Default recipient of this user's notifications. */
  other: string
  cable: Cable
  toast: (toast: Toast) => void
  onFigures: (figures: Figures, at: string) => void
}

/** View of one user. */
export function User ({ name, other, cable, toast, onFigures }: UserProps) {
  const title = useId()
  const [node, setNode] = useState('')
  useMessages('served_by', data => setNode((data as { node: string }).node))
  const { members, isStale, update } = usePresence('dashboard', node || 'server')
  const onInput = useTyping(useCallback((isTyping: boolean) => update({ isTyping }), [update]))
  useChannel('dashboard', node || 'server', { stats_update: (data, { timestamp }) => onFigures(data as Figures, timestamp) })
  return (
    <section className='user' aria-labelledby={title} onInput={onInput}>
      <div className='bar'>
        <span className='avatar' aria-hidden='true'>{name.slice(-1)}</span>
        <div className='who'>
          <h2 id={title}>{name}</h2>
          <Status node={node} />
        </div>
        <Bell user={name} toast={toast} />
      </div>
      <Watchers members={members} isStale={isStale} self={name} />
      <Connection cable={cable} hint='Cut it, send something, and watch it catch up' />
      <Tasks user={name} toast={toast} />
      <Send from={name} to={other} />
    </section>
  )
}

const texts = { connecting: 'Connecting', open: 'Live', waiting: 'Reconnecting', closed: 'Closed', idle: 'Not connected' }

function Status ({ node }: { node: string }) {
  const status = useStatus()
  const [resumed, setResumed] = useState('')
  useResume(({ recovered }) => setResumed(recovered ? ', caught up' : ', reloaded'))
  return <p className='status' role='status' data-state={status}>{texts[status]}{status === 'open' && (node && ` on node ${node}`) + resumed}</p>
}
