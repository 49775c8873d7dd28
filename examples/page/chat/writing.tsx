import type { FormEvent, RefObject } from 'react'

interface WritingProps {
  input: RefObject<HTMLInputElement | null>
  /** Called for each change of the text. */
  onInput: () => void
  /** Whether there is a run to stop. */
  isGoing: boolean
  send: (text: string) => void
  stop: () => void
}

/** Input for messages: Enter sends. A message that is sent during an answer waits for its turn. */
export function Writing ({ input, onInput, isGoing, send, stop }: WritingProps) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const text = input.current!.value.trim()
    if (text === '') return
    event.currentTarget.reset()
    send(text)
  }
  return (
    <form className='line writing' onSubmit={submit} onInput={onInput}>
      <label>Message <input ref={input} name='text' placeholder='Where is my order A-1042?' required maxLength={4000} autoComplete='off' enterKeyHint='send' /></label>
      {isGoing && <button type='button' className='quiet' onClick={stop}>Stop</button>}
      <button>Send</button>
    </form>
  )
}
