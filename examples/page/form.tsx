import { useState, type FormEvent, type ReactNode } from 'react'
import { messageOf } from './api.js'

interface SendingProps {
  label: string
  children: ReactNode
  /** Sends the form. The answer has the id of the message. */
  send: (fields: FormData) => Promise<{ id: string }>
  button: ReactNode
}

/** Form that shows its result. */
export function Sending ({ label, children, send, button }: SendingProps) {
  const [outcome, setOutcome] = useState<{ text: string, isError?: boolean }>()
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    setOutcome(undefined)
    try {
      const { id } = await send(new FormData(form))
      setOutcome({ text: `Sent as ${id}` })
      form.reset()
    } catch (error) {
      setOutcome({ text: messageOf(error), isError: true })
    }
  }
  return (
    <form aria-label={label} onSubmit={submit}>
      <div className='line'>{children}{button}</div>
      <output className={outcome?.isError ? 'bad' : undefined}>{outcome?.text}</output>
    </form>
  )
}
