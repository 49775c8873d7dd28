import { useCallback, useState } from 'react'
import { RealtimeProvider } from 'fastify-realtime/react'
import type { Figures } from './api.js'
import { Cable } from './cable.js'
import { Broadcast } from './broadcast.jsx'
import { Dashboard } from './dashboard.jsx'
import { Toasts, useToasts } from './toasts.jsx'
import { User } from './user.jsx'

/** The demo's two users; anybody else writes to the first. */
const otherThan = (user: string) => user === 'user_123' ? 'user_456' : 'user_123'

/** The whole page: its users side by side, and what is everybody's below. */
export function App ({ users }: { users: readonly string[] }) {
  const [cables] = useState(() => new Map(users.map(user => [user, new Cable()])))
  const [figures, setFigures] = useState<{ data: Figures, at: string }>()
  const toasts = useToasts()
  const onFigures = useCallback((data: Figures, at: string) => setFigures({ data, at }), [])
  const isAlone = users.length === 1
  return (
    <>
      <header>
        <h1>fastify-realtime <small>demo</small></h1>
        <nav aria-label='Users shown'>
          <a href='/' aria-current={isAlone ? undefined : 'page'}>Side by side</a>
          <a href={`/?user=${encodeURIComponent(users[0])}`} aria-current={isAlone ? 'page' : undefined}>One user</a>
        </nav>
      </header>
      <main className={isAlone ? 'alone' : undefined}>
        {users.map((user, index) => (
          <RealtimeProvider key={user} userId={user} WebSocket={cables.get(user)!.WebSocket}>
            <User
              name={user} other={users[1 - index] ?? otherThan(user)} cable={cables.get(user)!}
              toast={toasts.add} onFigures={onFigures}
            />
          </RealtimeProvider>
        ))}
        <Broadcast />
        <Dashboard figures={figures?.data} at={figures?.at} />
      </main>
      <Toasts toasts={toasts} />
    </>
  )
}
