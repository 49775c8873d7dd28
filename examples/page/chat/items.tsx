import { memo } from 'react'
import type { ChatItem, ChatMessage, Question } from 'fastify-realtime/react'
import { Attached, Cited, Data, Thoughts, Tool } from './parts.jsx'
import { titleOf } from './question.jsx'

interface ItemProps<T> {
  item: T
  /** Whether the user has to approve the call of a tool. */
  isAsked?: boolean
  retry: (message: ChatMessage) => void
  withdraw: (message: ChatMessage) => void
}

/** Item of the chat. While an answer is written the other items are the same objects, and are not rendered again. */
export const Item = memo(function Item ({ item, isAsked = false, retry, withdraw }: ItemProps<ChatItem>) {
  switch (item.kind) {
    case 'message': return <Message item={item} retry={retry} withdraw={withdraw} />
    case 'reasoning': return <Thoughts {...item} />
    case 'tool': return <Tool {...item} isAsked={isAsked} />
    case 'question': return item.status === 'open' ? null : <Asked {...item} />
    case 'source': return <Cited {...item} />
    case 'file': return <Attached {...item} />
    case 'step': return <li className='step' aria-hidden='true' />
    // Data of this name is for the AI SDK on other pages.
    case 'data': return item.name === 'ai_sdk' ? null : <Data {...item} />
  }
})

const endings = { cancelled: 'Stopped', interrupted: 'Interrupted', error: 'Failed', timeout: 'Not answered in time', complete: '', answered: '' }

function Message ({ item, retry, withdraw }: ItemProps<ChatMessage>) {
  const { role, agent, text, status, error } = item
  const isOwn = role === 'user'
  return (
    <li className={`message ${isOwn ? 'own' : 'theirs'}`} data-status={status}>
      <small>{isOwn ? 'You' : agent ?? role}</small>
      <p className='text'>{text}{status === 'streaming' && <span className='caret' aria-hidden='true' />}</p>
      {status === 'pending' && <small className='note'>Sending …</small>}
      {status === 'queued' && (
        <small className='note'>Waits for its turn <button type='button' className='link' onClick={() => withdraw(item)}>Withdraw</button></small>
      )}
      {isOwn && status === 'cancelled' && <small className='note'>Withdrawn</small>}
      {isOwn && status === 'error' && (
        <small className='note bad'>Not sent: {error?.message} <button type='button' className='link' onClick={() => retry(item)}>Try again</button></small>
      )}
      {!isOwn && status in endings && endings[status as keyof typeof endings] !== '' && <small className='note'>{endings[status as keyof typeof endings]}</small>}
    </li>
  )
}

/** Closed question. An open question is shown elsewhere. */
function Asked (question: Question) {
  const { prompt, status, value } = question
  return (
    <li className='asked' data-status={status}>
      <span>{prompt}</span> <b>{status === 'answered' ? titleOf(question, value) : endings[status as keyof typeof endings]}</b>
    </li>
  )
}
