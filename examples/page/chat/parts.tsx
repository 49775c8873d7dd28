import { useState } from 'react'
import type { MessageData, MessageFile, Reasoning, Source, ToolCall } from 'fastify-realtime/react'

/** Reasoning of the model: unfolded while it is written, then folded, unless the user decides. */
export function Thoughts ({ text, status }: Reasoning) {
  const isOpen = status === 'streaming'
  const [choice, setChoice] = useState<boolean>()
  return (
    <li className='thoughts' data-status={status}>
      <details open={choice ?? isOpen}>
        <summary
          onClick={event => {
            event.preventDefault()
            setChoice(!(choice ?? isOpen))
          }}
        >
          {isOpen ? 'Thinking …' : 'Thoughts'}
        </summary>
        <p>{text}</p>
      </details>
    </li>
  )
}

interface Progress {
  percent?: number
  step?: string
}

const states = {
  streaming: 'Writing its input', running: 'Running', complete: 'Done', cancelled: 'Stopped', interrupted: 'Interrupted', error: 'Failed'
}

function stateOf ({ status, error }: ToolCall, isAsked: boolean): string {
  if (isAsked && status === 'running') return 'Waits for your approval'
  return error?.code === 'denied' ? 'Denied' : states[status]
}

/** Call of a tool: its input while the model writes it, its progress, and its output. */
export function Tool ({ isAsked, ...call }: ToolCall & { isAsked: boolean }) {
  const { name, args, input, progress, status, output, error } = call
  const { percent, step } = (progress ?? {}) as Progress
  return (
    <li className='tool' data-status={status}>
      <div className='top'><b>{name}</b><small>{stateOf(call, isAsked)}</small></div>
      <code className='input'>{args === undefined ? input : JSON.stringify(args)}</code>
      {status === 'running' && progress !== undefined && <label>{step ?? 'Working'} <progress value={percent} max={100} /></label>}
      {status === 'complete' && output !== undefined && <code className='output'>{JSON.stringify(output)}</code>}
      {status === 'error' && <small className='note bad'>{error?.message}</small>}
    </li>
  )
}

/** Source that the answer cites. */
export function Cited ({ value: { url, title, filename } }: Source) {
  const name = title ?? filename ?? url
  return <li className='chip'>{isWeb(url) ? <a href={url} target='_blank' rel='noreferrer'>{name}</a> : name}</li>
}

/** File of the answer. The page loads nothing from other servers, so it shows only images that are in their URL. */
export function Attached ({ value: { url, media_type: type, filename } }: MessageFile) {
  const name = filename ?? type
  const isOwn = url.startsWith('data:')
  return (
    <li className='file'>
      {isOwn && type.startsWith('image/') && <img src={url} alt={name} />}
      {isOwn || isWeb(url) ? <a href={url} {...isOwn ? { download: name } : { target: '_blank', rel: 'noreferrer' }}>{name}</a> : name}
    </li>
  )
}

/** Data of the app: its rows. */
export function Data ({ name, value }: MessageData) {
  const rows: Array<[string, unknown]> = typeof value === 'object' && value !== null ? Object.entries(value) : [[name, value]]
  return (
    <li className='data'>
      <dl aria-label={name}>{rows.map(([key, value]) => <div key={key}><dd>{textOf(value)}</dd><dt>{key}</dt></div>)}</dl>
    </li>
  )
}

function isWeb (url: string | undefined): boolean {
  return url !== undefined && /^https?:/i.test(url)
}

function textOf (value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
