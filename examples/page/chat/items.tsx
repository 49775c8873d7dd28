import { memo } from 'react'
import type { ChatItem, ChatMessage, MessageFile, Question, Reasoning, Source, ToolCall } from 'fastify-realtime/react'
import { titleOf } from './question.jsx'

interface ItemProps<T> {
  item: T
  retry: (message: ChatMessage) => void
  withdraw: (message: ChatMessage) => void
}

/** Item of the chat. While an answer is written the other items are the same objects, and are not rendered again. */
export const Item = memo(function Item ({ item, retry, withdraw }: ItemProps<ChatItem>) {
  if (item.kind === 'tool') return <Tool {...item} />
  if (item.kind === 'question') return item.status === 'open' ? null : <Asked {...item} />
  if (item.kind === 'reasoning') return <Thoughts {...item} />
  if (item.kind === 'source' || item.kind === 'file') return <Linked {...item} />
  return item.kind === 'message' ? <Message item={item} retry={retry} withdraw={withdraw} /> : null
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

interface Progress {
  percent?: number
  step?: string
}

function Tool ({ name, agent, args, input, progress, status, output, error }: ToolCall) {
  const { percent, step } = (progress ?? {}) as Progress
  return (
    <li className='tool' data-status={status}>
      <div className='top'><b>{name}</b><small>{agent}</small></div>
      <code>{status === 'streaming' ? input : JSON.stringify(args)}</code>
      {status === 'running' && <label>{step ?? 'Working'} <progress value={percent} max={100} /></label>}
      {status === 'complete' && <code className='output'>{JSON.stringify(output)}</code>}
      {status in endings && status !== 'complete' && (
        <small className='note'>{endings[status as keyof typeof endings]}{error && `: ${error.message}`}</small>
      )}
    </li>
  )
}

function Thoughts ({ text, status }: Reasoning) {
  return (
    <li className='tool' data-status={status}>
      <details><summary>Reasoning</summary>{text}</details>
    </li>
  )
}

/** Source or file of an answer. */
function Linked ({ kind, value }: Source | MessageFile) {
  const name = ('title' in value && value.title) || value.filename || value.url || kind
  return <li className='tool'>{value.url === undefined ? name : <a href={value.url}>{name}</a>}</li>
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
