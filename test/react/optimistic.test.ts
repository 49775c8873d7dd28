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

t.test('it begins with what is there, each item once', async t => {
  const list = listOf(identity, [task('1'), task('2'), task('1', 'newer')])
  t.strictSame(list.items.map(({ key, id, item, isPending }) => [key, id, item.title, isPending]), [['1', '1', 'newer', false], ['2', '2', '2', false]])
})

t.test('an attempt is there at once, and confirmed in its place and under its key', async t => {
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

t.test('it is confirmed once, whichever comes first', async t => {
  t.strictSame(shown(after([add, pushed(task('1', 'a', 'r')), answered(task('1', 'a'))])), ['a'])
  t.strictSame(shown(after([add, answered(task('1', 'a')), pushed(task('1', 'a', 'r'))])), ['a'])
  t.strictSame(shown(after([add, pushed(task('1', 'a')), answered(task('1', 'a'))])), ['a'], 'also by a push that does not say whose it is')
})

t.test('an answer to an attempt that is over changes nothing, also while another one waits', async t => {
  const list = after([{ type: 'added', ref: 's', item: task('', 'b') }])
  t.strictSame([isPending(list, 'r'), isPending(list, 's')], [false, true])
  t.equal(after([answered(task('9', 'late'))], list), list)
})

t.test('an answer that is an item of the list ends the attempt, and leaves the item as it is', async t => {
  const list = listOf(identity, [task('1', 'stored'), task('2', 'b')])
  t.strictSame(shown(after([add, answered(task('1', 'older'))], list)), ['stored', 'b'])
})

t.test('a message that makes an attempt an item of the list puts it there once', async t => {
  const list = listOf(identity, [task('1', 'stored'), task('2', 'b')])
  t.strictSame(shown(after([add, pushed(task('1', 'new', 'r'))], list)), ['new', 'b'])
})

t.test('an answer does not undo what was pushed since', async t => {
  const created = pushed(task('1', 'a', 'r'))
  t.strictSame(shown(after([add, created, pushed(task('1', 'newer')), answered(task('1', 'a'))])), ['newer'])
  t.strictSame(shown(after([add, created, { type: 'removed', id: '1' }, answered(task('1', 'a'))])), [])
  t.strictSame(shown(after([add, pushed(task('1', 'a')), { type: 'removed', id: '1' }, answered(task('1', 'a'))])), [], 'whoever it was')
})

t.test('a failure takes back what is not confirmed', async t => {
  const failed: Change<Task> = { type: 'failed', ref: 'r' }
  t.strictSame(shown(after([add, failed])), [])
  t.strictSame(shown(after([add, pushed(task('1', 'a', 'r')), failed])), ['a'])
  t.strictSame(shown(after([add, failed, pushed(task('1', 'a', 'r'))])), ['a'], 'it had been done all the same')
})

t.test('what is loaded replaces what is confirmed, and not what is newer', async t => {
  const loading: Change<Task> = { type: 'loading' }
  const loaded = (...items: Task[]): Change<Task> => ({ type: 'loaded', items })
  t.strictSame(shown(after([pushed(task('1')), loading, loaded(task('2'))])), ['2'])
  t.strictSame(shown(after([loading, pushed(task('1')), loaded(task('2'))])), ['2', '1'])
  t.strictSame(shown(after([loading, pushed(task('1', 'newer')), loaded(task('1', 'older'))])), ['newer'])
  t.strictSame(shown(after([loading, { type: 'removed', id: '1' }, loaded(task('1'))])), [])
  t.strictSame(shown(after([add, loading, loaded(task('1'))])), ['1', 'a?'], 'an attempt goes on')
  const confirming = after([add, loading, loaded(task('1', 'a', 'r'))])
  t.strictSame(shown(confirming), ['a'], 'or is confirmed')
  t.equal(confirming.items[0].key, 'r')
  t.strictSame(shown(after([answered(task('1', 'a'))], confirming)), ['a'])
})

t.test('nothing is kept about messages when no answer is on its way', async t => {
  const list = after([pushed(task('1')), { type: 'removed', id: '2' }])
  t.equal(list.pushed.size, 0)
  const waiting = after([add, pushed(task('3'))], list)
  t.equal(waiting.pushed.size, 1)
  t.equal(after([{ type: 'failed', ref: 'r' }], waiting).pushed.size, 0)
})

t.test('a reset replaces what is confirmed, and a load under way keeps what is pushed', async t => {
  const reset = (...items: Task[]): Change<Task> => ({ type: 'reset', items })
  t.strictSame(shown(after([pushed(task('1')), add, reset(task('2'))])), ['2', 'a?'])
  const loading = after([{ type: 'loading' }, pushed(task('1')), reset(), pushed(task('2'))])
  t.strictSame(shown(loading), ['2'])
  t.strictSame(shown(after([{ type: 'loaded', items: [task('0')] }], loading)), ['0', '1', '2'])
})

t.test('what was removed stays so when its own answer comes only after a load', async t => {
  const removed: Change<Task> = { type: 'removed', id: '1' }
  const reload: Array<Change<Task>> = [{ type: 'loading' }, { type: 'loaded', items: [] }]
  const list = after([add, pushed(task('1', 'a')), removed, ...reload, answered(task('1', 'a'))])
  t.strictSame(shown(list), [])
  t.equal(list.removed.size, 0)
  t.strictSame(shown(after([add, removed, { type: 'loading' }, { type: 'loaded', items: [task('1')] }])), ['1', 'a?'],
    'a load knows better what is there again')
})

/** A server and what is on its way from it, in the orders that HTTP and a log allow. */
class World {
  list = listOf<Task>(identity, [])
  readonly server = new Map<string, Task>()
  #count = 0
  /** In order; until a gap. */
  pushes: Array<Change<Task>> = []
  /** In any order. */
  answers: Array<{ ref: string, change: Change<Task> }> = []
  snapshot: readonly Task[] | undefined

  do (change: Change<Task>): void {
    this.list = changed(identity, this.list, change)
  }

  /** `answer`: it comes, is lost although the server did it, or says that the server did not. */
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
   * Pushes are lost; the app is told, and asks. When the removal of an item is lost before the answer that made it has
   * come, nothing tells that answer from a newer one: it is kept rather than lost. So here it comes before.
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

t.test('in any order: never twice, never lost, and in the end what the server has', async () => {
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), steps => {
    const world = new World()
    for (const next of steps) {
      next(world)
      const refs = world.list.items.map(({ item }) => item.ref)
      if (new Set(refs).size !== refs.length) throw new Error(`twice: ${refs}`)
      const keys = world.list.items.map(({ key }) => key)
      if (new Set(keys).size !== keys.length) throw new Error(`keys: ${keys}`)
      // Until its answer is there, what was added is shown, unless a message has removed it.
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
