import type { Member } from 'fastify-realtime/react'

interface WatchersProps {
  members: readonly Member[]
  /** Whether the list may be old. */
  isStale: boolean
  /** User of this page. */
  self: string
}

const isTyping = ({ connections }: Member) =>
  connections.some(({ data }) => (data as { isTyping?: boolean } | undefined)?.isTyping === true)

/** The users who watch the dashboard, on all pages, and which of them type. */
export function Watchers ({ members, isStale, self }: WatchersProps) {
  return (
    <div className='watchers' data-stale={isStale}>
      <small>Watching</small>
      <ul aria-label={`Watching with ${self}`}>
        {members.map(member => (
          <li key={member.userId} data-typing={isTyping(member)}>
            <span className='dot' aria-hidden='true'>{member.userId.slice(-1)}</span>
            {member.userId === self ? 'you' : member.userId}
            {member.connections.length > 1 && <small>× {member.connections.length}</small>}
            {isTyping(member) && <small>typing …</small>}
          </li>
        ))}
      </ul>
    </div>
  )
}
