import t from 'tap'
import { useOptimisticList } from '../../lib/react/index.js'
import { eventually } from '../waiting.js'
import { connected } from './connected.js'

t.test('useOptimisticList shows an item at once, confirms it by an answer or a message, and removes it after a failure', async t => {
  interface Task { task_id: string, title: string, client_ref?: string }
  const { app, mounted, online } = await connected(t)
  const push = (data: Task, action = 'created') => app.ws.sendToUser('user_123', { type: 'task_update', action, data: { ...data } })
  let list: ReturnType<typeof useOptimisticList<Task>> | undefined
  mounted(() => {
    list = useOptimisticList<Task>({
      type: 'task_update',
      idOf: task => task.task_id,
      refOf: task => task.client_ref,
      initial: [{ task_id: '0', title: 'zero' }],
      load: async () => [{ task_id: '1', title: 'one' }]
    })
  })
  await online()
  const shown = () => list!.items.map(({ item, isPending }) => `${item.title}${isPending ? '?' : ''}`).join()
  await eventually(() => shown() === 'one')

  let answer: ((task?: Task) => void) | undefined
  const adding = list!.add({ task_id: '', title: 'two' }, async ref => new Promise<Task | void>(resolve => {
    answer = task => resolve(task === undefined ? undefined : { ...task, client_ref: ref })
  }))
  await eventually(() => shown() === 'one,two?')
  answer!({ task_id: '2', title: 'two' })
  await adding
  await eventually(() => shown() === 'one,two')

  await t.rejects(list!.add({ task_id: '', title: 'three' }, async () => { throw new Error('no') }), { message: 'no' })
  await eventually(() => shown() === 'one,two')

  await list!.add({ task_id: '', title: 'four' }, async ref => {
    await push({ task_id: '4', title: 'four', client_ref: ref })
    await eventually(() => shown() === 'one,two,four')
    throw new Error('the answer was lost')
  })
  t.equal(shown(), 'one,two,four', 'a lost answer is not an error when a message has confirmed the item')

  await push({ task_id: '2', title: 'two' }, 'deleted')
  await eventually(() => shown() === 'one,four')
  list!.reset([])
  await eventually(() => shown() === '')
})
