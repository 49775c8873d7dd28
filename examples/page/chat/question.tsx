import { useState } from 'react'
import type { Question } from 'fastify-realtime/react'
import { messageOf } from '../api.js'

interface Choice {
  const: unknown
  title?: string
}

/** Returns the choices: the literals in the schema of the answer. */
export function choicesOf ({ schema }: Question): Choice[] {
  const { anyOf = [schema] } = (schema ?? {}) as { anyOf?: unknown[] }
  return anyOf.filter((each): each is Choice => typeof each === 'object' && each !== null && 'const' in each)
}

export function titleOf (question: Question, value: unknown): string {
  return choicesOf(question).find(choice => choice.const === value)?.title ?? String(value)
}

/** Open question, with a button for each answer. It disappears on all devices when one of them has answered. */
export function Choices ({ question, onDone }: { question: Question, onDone: () => void }) {
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
      <div className='line'>
        {choicesOf(question).map(choice => (
          <button key={String(choice.const)} type='button' className='quiet' aria-disabled={isSending} onClick={() => answer(choice.const)}>
            {titleOf(question, choice.const)}
          </button>
        ))}
      </div>
      <output className='bad'>{fault}</output>
    </div>
  )
}
