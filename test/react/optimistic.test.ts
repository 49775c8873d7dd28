import fc from 'fast-check'
import t from 'tap'
import { changed, isPending, listOf, type Change, type List } from '../../lib/react/optimistic.js'

interface Task {
  id: string
  title: string
  ref?: string
}

const identity = { idOf: ({ id }: Task) => id, refOf: ({ ref }: Task) => ref }
const after = (changes: Array<Change<Task>>, list = listOf<Task>(identity, [])) =>
  changes.reduce((list, change) => changed(identity, list, change), list)
const shown = ({ items }: List<Task>) => items.map(({ item, isPending }) => `${item.title}${isPending ? '?' : ''}`)
const task = (id: string, title = id, ref?: string): Task => ({ id, title, ref })

const add: Change<Task> = { type: 'added', ref: 'r', item: task('', 'a') }
const pushed = (item: Task): Change<Task> => ({ type: 'pushed', ref: item.ref, item })
const answered = (item: Task): Change<Task> => ({ type: 'answered', ref: 'r', item })

t.test('a list begins with its initial items, each once', async t => {
  const list = listOf(identity, [task('1'), task('2'), task('1', 'newer')])
  t.strictSame(list.items.map(({ key, id, item, isPending }) => [key, id, item.title, isPending]), [['1', '1', 'newer', false], ['2', '2', '2', false]])
})

t.test('an added item is shown at once, and keeps its place and key when it is confirmed', async t => {
  const list = after([add, pushed(task('2', 'b'))])
  t.strictSame(shown(list), ['a?', 'b'])
  t.ok(isPending(list, 'r'))
  for (const confirmation of [pushed(task('1', 'a', 'r')), answered(task('1', 'a'))]) {
    const confirmed = after([confirmation], list)
    t.strictSame(shown(confirmed), ['a', 'b'])
    t.notOk(isPending(confirmed, 'r'))
    t.match(confirmed.items[0], { key: 'r', id: '1' })
  }
})

t.test('an item is in the list once, whether its answer or its message comes first', async t => {
  t.strictSame(shown(after([add, pushed(task('1', 'a', 'r')), answered(task('1', 'a'))])), ['a'])
  t.strictSame(shown(after([add, answered(task('1', 'a')), pushed(task('1', 'a', 'r'))])), ['a'])
  t.strictSame(shown(after([add, pushed(task('1', 'a')), answered(task('1', 'a'))])), ['a'], 'even when the message has no ref')
})

t.test('an answer to an item that is not pending has no effect, even while another item is pending', async t => {
  const list = after([{ type: 'added', ref: 's', item: task('', 'b') }])
  t.strictSame([isPending(list, 'r'), isPending(list, 's')], [false, true])
  t.equal(after([answered(task('9', 'late'))], list), list)
})

t.test('an answer with an item of the list removes the pending item, and does not change the known one', async t => {
  const list = listOf(identity, [task('1', 'stored'), task('2', 'b')])
  t.strictSame(shown(after([add, answered(task('1', 'older'))], list)), ['stored', 'b'])
})

t.test('a message that confirms a pending item as a known item leaves one of them', async t => {
  const list = listOf(identity, [task('1', 'stored'), task('2', 'b')])
  t.strictSame(shown(after([add, pushed(task('1', 'new', 'r'))], list)), ['new', 'b'])
})

t.test('an answer does not undo newer messages', async t => {
  const created = pushed(task('1', 'a', 'r'))
  t.strictSame(shown(after([add, created, pushed(task('1', 'newer')), answered(task('1', 'a'))])), ['newer'])
  t.strictSame(shown(after([add, created, { type: 'removed', id: '1' }, answered(task('1', 'a'))])), [])
  t.strictSame(shown(after([add, pushed(task('1', 'a')), { type: 'removed', id: '1' }, answered(task('1', 'a'))])), [], 'even without a ref')
})

t.test('a failure removes an item that is not confirmed', async t => {
  const failed: Change<Task> = { type: 'failed', ref: 'r' }
  t.strictSame(shown(after([add, failed])), [])
  t.strictSame(shown(after([add, pushed(task('1', 'a', 'r')), failed])), ['a'])
  t.strictSame(shown(after([add, failed, pushed(task('1', 'a', 'r'))])), ['a'], 'the server has the item nevertheless')
})

t.test('a load replaces confirmed items, but not those of newer messages', async t => {
  const loading: Change<Task> = { type: 'loading' }
  const loaded = (...items: Task[]): Change<Task> => ({ type: 'loaded', items })
  t.strictSame(shown(after([pushed(task('1')), loading, loaded(task('2'))])), ['2'])
  t.strictSame(shown(after([loading, pushed(task('1')), loaded(task('2'))])), ['2', '1'])
  t.strictSame(shown(after([loading, pushed(task('1', 'newer')), loaded(task('1', 'older'))])), ['newer'])
  t.strictSame(shown(after([loading, { type: 'removed', id: '1' }, loaded(task('1'))])), [])
  t.strictSame(shown(after([add, loading, loaded(task('1'))])), ['1', 'a?'], 'a pending item stays')
  const confirming = after([add, loading, loaded(task('1', 'a', 'r'))])
  t.strictSame(shown(confirming), ['a'], 'the load confirms it')
  t.equal(confirming.items[0].key, 'r')
  t.strictSame(shown(after([answered(task('1', 'a'))], confirming)), ['a'])
})

t.test('messages are only remembered while an answer is pending', async t => {
  const list = after([pushed(task('1')), { type: 'removed', id: '2' }])
  t.equal(list.pushed.size, 0)
  const waiting = after([add, pushed(task('3'))], list)
  t.equal(waiting.pushed.size, 1)
  t.equal(after([{ type: 'failed', ref: 'r' }], waiting).pushed.size, 0)
})

t.test('a reset replaces confirmed items, and a load in progress still applies newer messages', async t => {
  const reset = (...items: Task[]): Change<Task> => ({ type: 'reset', items })
  t.strictSame(shown(after([pushed(task('1')), add, reset(task('2'))])), ['2', 'a?'])
  const loading = after([{ type: 'loading' }, pushed(task('1')), reset(), pushed(task('2'))])
  t.strictSame(shown(loading), ['2'])
  t.strictSame(shown(after([{ type: 'loaded', items: [task('0')] }], loading)), ['0', '1', '2'])
})

t.test('a removed item stays removed when its answer comes after a load', async t => {
  const removed: Change<Task> = { type: 'removed', id: '1' }
  const reload: Array<Change<Task>> = [{ type: 'loading' }, { type: 'loaded', items: [] }]
  const list = after([add, pushed(task('1', 'a')), removed, ...reload, answered(task('1', 'a'))])
  t.strictSame(shown(list), [])
  t.equal(list.removed.size, 0)
  t.strictSame(shown(after([add, removed, { type: 'loading' }, { type: 'loaded', items: [task('1')] }])), ['1', 'a?'],
    'a load can contain the item again')
})

/** A server, and its messages and answers in transit, in the orders that HTTP and a log allow. */
class World {
  list = listOf<Task>(identity, [])
  readonly server = new Map<string, Task>()
  #count = 0
  /** Messages in transit, in order. A gap loses them. */
  pushes: Array<Change<Task>> = []
  /** Answers in transit, which arrive in any order. */
  answers: Array<{ ref: string, change: Change<Task> }> = []
  snapshot: readonly Task[] | undefined

  do (change: Change<Task>): void {
    this.list = changed(identity, this.list, change)
  }

  /** Adds an item. `answer`: arrives, is lost although the server has the item, or refuses the item. */
  add (answer: 'ok' | 'lost' | 'refused'): void {
    const ref = `ref${++this.#count}`
    const item = { id: `id${this.#count}`, title: 'new', ref }
    this.do({ type: 'added', ref, item: { ...item, id: '' } })
    if (answer !== 'refused') {
      this.server.set(item.id, item)
      this.pushes.push(pushed(item))
    }
    this.answers.push({ ref, change: answer === 'ok' ? { type: 'answered', ref, item } : { type: 'failed', ref } })
  }

  update (n: number): void {
    const item = [...this.server.values()][n % this.server.size]
    if (item === undefined) return
    const updated = { ...item, title: `${item.title}+` }
    this.server.set(item.id, updated)
    this.pushes.push(pushed(updated))
  }

  remove (n: number): void {
    const item = [...this.server.values()][n % this.server.size]
    if (item === undefined) return
    this.server.delete(item.id)
    this.pushes.push({ type: 'removed', id: item.id })
  }

  push (): void {
    const change = this.pushes.shift()
    if (change !== undefined) this.do(change)
  }

  answer (n: number): void {
    const [answer] = this.answers.splice(n % this.answers.length, 1)
    if (answer !== undefined) this.do(answer.change)
  }

  /**
   * Loses the messages in transit, and starts a load. When the removal of an item is lost before the answer that created it arrives,
   * that answer looks like a newer one, and the item is kept. So such an answer arrives first here.
   */
  lose (): void {
    const isRemoved = ({ change }: { change: Change<Task> }) => change.type === 'answered' && !this.server.has(change.item.id)
    for (const { change } of this.answers.filter(isRemoved)) this.do(change)
    this.answers = this.answers.filter(answer => !isRemoved(answer))
    this.pushes = []
    this.do({ type: 'loading' })
    this.snapshot = [...this.server.values()]
  }

  load (): void {
    if (this.snapshot !== undefined) this.do({ type: 'loaded', items: this.snapshot })
    this.snapshot = undefined
  }

  settle (): void {
    while (this.pushes.length > 0) this.push()
    while (this.answers.length > 0) this.answer(0)
    this.load()
  }
}

const number = fc.nat(20)
const step = fc.oneof(
  fc.constantFrom('ok', 'lost', 'refused').map(answer => (world: World) => world.add(answer as 'ok')),
  number.map(n => (world: World) => world.update(n)),
  number.map(n => (world: World) => world.remove(n)),
  fc.constant((world: World) => world.push()),
  number.map(n => (world: World) => world.answer(n)),
  fc.constant((world: World) => world.lose()),
  fc.constant((world: World) => world.load())
)

t.test('in any order of messages and answers, no item is lost or shown twice, and at the end the list equals the server', async () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), steps => {
    const world = new World()
    for (const next of steps) {
      next(world)
      const refs = world.list.items.map(({ item }) => item.ref)
      if (new Set(refs).size !== refs.length) throw new Error(`twice: ${refs}`)
      const keys = world.list.items.map(({ key }) => key)
      if (new Set(keys).size !== keys.length) throw new Error(`keys: ${keys}`)
      // An added item is shown until its answer arrives, unless a message has removed it.
      for (const { ref } of world.answers) {
        const isGone = world.server.size === 0 || ![...world.server.values()].some(item => item.ref === ref)
        if (!refs.includes(ref) && !isGone) throw new Error(`lost: ${ref}`)
      }
    }
    world.settle()
    const have = world.list.items.map(({ item, isPending }) => `${item.id} ${item.title} ${isPending}`).sort()
    const want = [...world.server.values()].map(({ id, title }) => `${id} ${title} false`).sort()
    if (have.join() !== want.join()) throw new Error(`have ${have}, want ${want}`)
    if (world.list.pushed.size > 0) throw new Error('something is kept')
  }), { numRuns: 2000 })
})
