import { useCallback, useState } from 'react'
import { RealtimeProvider } from 'fastify-realtime/react'
import type { Figures } from './api.js'
import { Cable } from './cable.js'
import { Broadcast } from './broadcast.jsx'
import { Dashboard } from './dashboard.jsx'
import { Header } from './header.jsx'
import { Toasts, useToasts } from './toasts.jsx'
import { User } from './user.jsx'

/** Returns the user to write to: the other of the two users of the demo, or the first for any other user. */
const otherThan = (user: string) => user === 'user_123' ? 'user_456' : 'user_123'

/** The page: its users side by side, and below them the parts for all users. */
export function App ({ users }: { users: readonly string[] }) {
  const [cables] = useState(() => new Map(users.map(user => [user, new Cable()])))
  const [figures, setFigures] = useState<{ data: Figures, at: string }>()
  const toasts = useToasts()
  const onFigures = useCallback((data: Figures, at: string) => setFigures({ data, at }), [])
  const isAlone = users.length === 1
  return (
    <>
      <Header
        label='Users shown' views={[
          { href: '/', text: 'Side by side', isCurrent: !isAlone },
          { href: `/?user=${encodeURIComponent(users[0])}`, text: 'One user', isCurrent: isAlone }
        ]}
      />
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
