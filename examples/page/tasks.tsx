import { useId, useState, type FormEvent } from 'react'
import { useOptimisticList } from 'fastify-realtime/react'
import { call, loadState, messageOf, type Task } from './api.js'
import { Switch } from './switch.jsx'
import type { Toast } from './toasts.jsx'

/** List that shows a new task before the server has it, and removes the task when the server fails. */
export function Tasks ({ user, toast }: { user: string, toast: (toast: Toast) => void }) {
  const id = useId()
  const [title, setTitle] = useState('')
  const [isToFail, setToFail] = useState(false)
  const { items, add } = useOptimisticList<Task>({
    type: 'task_update',
    idOf: task => String(task.task_id),
    refOf: task => task.client_ref,
    load: async () => (await loadState(user)).tasks
  })

  const submit = async (event: FormEvent) => {
    event.preventDefault()
    const wanted = title.trim()
    if (wanted === '') return
    setTitle('')
    try {
      await add({ task_id: '', title: wanted }, ref =>
        call<Task>('/api/tasks', { title: wanted, user_id: user, client_ref: ref, fail: isToFail || undefined }))
    } catch (error) {
      setTitle(present => present === '' ? wanted : present)
      toast({ from: user, text: `“${wanted}” was not added: ${messageOf(error)}`, isError: true })
    }
  }

  return (
    <section className='card' aria-labelledby={id}>
      <h3 id={id}>Tasks</h3>
      <form onSubmit={submit}>
        <div className='line'>
          <label>New task <input value={title} onChange={event => setTitle(event.target.value)} required maxLength={200} autoComplete='off' /></label>
          <button>Add</button>
        </div>
      </form>
      <Switch label='Let the server fail' hint='A new task is shown at once, then removed' isOn={isToFail} onChange={setToFail} />
      {items.length === 0 && <p className='empty'>No tasks yet.</p>}
      <ul className='tasks'>
        {items.toReversed().map(({ key, id, item, isPending }) => (
          <li key={key} className={isPending ? 'pending' : undefined}><span>{item.title || id}</span><code>{id ?? 'saving'}</code></li>
        ))}
      </ul>
    </section>
  )
}
