import { useCallback, useId, useRef, useState } from 'react'
import { useChat, usePresence, type ChatItem, type ChatMessage, type Member, type ShownChat, type ToolCall } from 'fastify-realtime/react'
import { messageOf } from '../api.js'
import type { Cable } from '../cable.js'
import { Connection } from '../connection.jsx'
import { useTyping } from '../typing.js'
import { Log } from './log.jsx'
import { Choices } from './question.jsx'
import { Writing } from './writing.jsx'

/** What the devices of a chat show each other. */
interface Shown {
  device: string
  isTyping: boolean
}

const chatOf = (chatId: string) => ({ workflow: 'support', appId: 'shop', chatId })

/** One device of the user, in the chat. */
export function Device ({ name, chatId, cable }: { name: string, chatId: string, cable: Cable }) {
  const title = useId()
  const input = useRef<HTMLInputElement>(null)
  const [fault, setFault] = useState('')
  const { send, stop, withdraw, loadOlder, retry, ...chat } = useChat({ ...chatOf(chatId), history: true })
  const { members, update } = usePresence(chatOf(chatId))
  const onInput = useTyping(useCallback((isTyping: boolean) => update({ device: name, isTyping }), [update, name]))

  /** Shows the reason of a failure. A message that was not sent shows its own. */
  const attempt = async (work: () => Promise<unknown>) => {
    setFault('')
    try {
      await work()
    } catch (error) {
      setFault(messageOf(error))
    }
  }
  // The same functions in each render, so that unchanged messages are not rendered again.
  const sendAgain = useCallback(({ id, text, data }: ChatMessage) => { send(text, { id, data }).catch(() => {}) }, [send])
  const takeBack = useCallback(({ id }: ChatMessage) => { withdraw(id).catch(error => setFault(messageOf(error))) }, [withdraw])
  /** Moves the focus, because the button that was pressed disappears. */
  const focusInput = () => input.current?.focus()

  return (
    <section className='user device' aria-labelledby={title}>
      <div className='bar'>
        <span className='avatar' aria-hidden='true'>{name.slice(-1)}</span>
        <div className='who'>
          <h2 id={title}>Device {name}</h2>
          <p className='status' role='status' data-state={chat.connection} data-chat={chat.status}>{textOf(chat)}</p>
        </div>
      </div>
      {chat.closed && <p className='bad'>{chat.closed.name} <button type='button' className='link' onClick={retry}>Connect again</button></p>}
      <Connection cable={cable} hint='Cut it in the middle of an answer, and watch it catch up' />
      <Log
        label={`Messages on device ${name}`} chat={chat} loadOlder={() => attempt(loadOlder)}
        retry={sendAgain} withdraw={takeBack}
      />
      <p className='muted typing'>{typingOn(members, name).map(device => `Device ${device}`).join(' and ')}</p>
      {chat.question !== undefined && (
        <Choices key={chat.question.id} question={chat.question} call={callOf(chat.items, chat.question.callId)} onDone={focusInput} />
      )}
      <Writing
        input={input} isGoing={chat.status === 'submitted' || chat.status === 'streaming' || chat.status === 'waiting'}
        onInput={onInput}
        send={text => {
          update({ device: name, isTyping: false })
          send(text).catch(() => {})
        }}
        stop={() => {
          focusInput()
          return attempt(stop)
        }}
      />
      <output className='bad'>{fault || (chat.error && `The agent failed: ${chat.error.message}`)}</output>
    </section>
  )
}

/** Returns the other devices on which someone types. */
function typingOn (members: readonly Member[], name: string): string[] {
  const shown = members.flatMap(({ connections }) => connections).map(({ data }) => data as Shown | undefined)
  return shown.filter(each => each !== undefined && each.isTyping && each.device !== name).map(each => each!.device)
}

function callOf (items: readonly ChatItem[], id: string | undefined): ToolCall | undefined {
  return items.find((item): item is ToolCall => item.kind === 'tool' && item.id === id)
}

const activities = {
  ready: 'Live', submitted: 'Live, sent', streaming: 'Live, answering', waiting: 'Live, waiting for your answer', connecting: 'Connecting', closed: 'Closed', idle: 'Not connected'
}

function textOf ({ connection, status }: Pick<ShownChat, 'connection' | 'status'>): string {
  if (connection === 'closed') return activities.closed
  if (connection === 'open') return activities[status]
  return connection === 'waiting' ? 'Reconnecting' : 'Connecting'
}
