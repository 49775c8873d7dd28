import { useState } from 'react'
import type { Question, ToolCall } from 'fastify-realtime/react'
import { messageOf } from '../api.js'

interface Choice {
  const: unknown
  title?: string
}

const approvals: Choice[] = [{ const: { approved: true }, title: 'Approve' }, { const: { approved: false }, title: 'Deny' }]

function isApproval ({ component }: Question): boolean {
  return component === 'tool-approval'
}

/** Returns the choices: the literals in the schema of the answer, or those of an approval. */
function choicesOf (question: Question): Choice[] {
  if (isApproval(question)) return approvals
  const { schema } = question
  const { anyOf = [schema] } = (schema ?? {}) as { anyOf?: unknown[] }
  return anyOf.filter((each): each is Choice => typeof each === 'object' && each !== null && 'const' in each)
}

export function titleOf (question: Question, value: unknown): string {
  if (isApproval(question)) return (value as { approved?: boolean } | undefined)?.approved ? 'Approved' : 'Denied'
  return choicesOf(question).find(choice => choice.const === value)?.title ?? String(value)
}

interface ChoicesProps {
  question: Question
  /** Call of a tool that the question is about. */
  call?: ToolCall | undefined
  onDone: () => void
}

/** Open question, with a button for each answer. It disappears on all devices when one of them has answered. */
export function Choices ({ question, call, onDone }: ChoicesProps) {
  const [isSending, setSending] = useState(false)
  const [fault, setFault] = useState('')
  const answer = async (value: unknown) => {
    if (isSending) return
    setSending(true)
    setFault('')
    try {
      await question.answer(value)
      onDone()
    } catch (error) {
      setFault(messageOf(error))
      setSending(false)
    }
  }
  return (
    <div className='question' role='group' aria-label={question.prompt}>
      <p>{question.prompt}</p>
      {call !== undefined && <code>{JSON.stringify(call.args)}</code>}
      <div className='line'>
        {choicesOf(question).map(choice => (
          <button key={titleOf(question, choice.const)} type='button' className='quiet' aria-disabled={isSending} onClick={() => answer(choice.const)}>
            {choice.title ?? String(choice.const)}
          </button>
        ))}
      </div>
      <output className='bad'>{fault}</output>
    </div>
  )
}
