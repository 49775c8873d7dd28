import t from 'tap'
import { piecesOf } from '../../../lib/chat/sources/pieces.js'
import type { AnswerSource } from '../../../lib/index.js'
import { loopTurns } from '../../waiting.js'

async function read (source: AnswerSource): Promise<unknown[]> {
  const texts = piecesOf(source)
  const all: unknown[] = []
  for (let next = await texts.next(); next.done !== true; next = await texts.next()) all.push(next.value)
  return all
}

async function * parts () {
  yield 'a'
  yield { text: 'b' }
  yield ''
}

/** Returns a stream, and a record of its cancellation. */
function stream (pull: (controller: ReadableStreamDefaultController<any>) => void) {
  const told: unknown[] = []
  return { told, source: new ReadableStream<string>({ pull, cancel () { told.push('cancel') } }) }
}

t.test('a source is any async iterable of strings or of objects with a text', async t => {
  t.strictSame(await read(parts()), ['a', { text: 'b' }, ''])
  const left: unknown[] = ['a', { text: 'b' }]
  t.strictSame(await read(stream(controller => left.length > 0 ? controller.enqueue(left.shift()) : controller.close()).source), ['a', { text: 'b' }])
  t.strictSame(await read({ [Symbol.asyncIterator]: () => ({ next: async () => ({ done: true, value: undefined }) }) }), [])
})

t.test('a value that is not a source, or a part that is not a text, is refused with a TypeError', async t => {
  for (const wrong of ['text', ['a'], null, undefined, 5, {}, () => {}]) t.throws(() => piecesOf(wrong as never), { name: 'TypeError', message: /^'stream' takes an AsyncIterable/ })
  for (const part of [5, null, undefined, {}, { text: 5 }, ['a'], { type: 'start' }, { kind: 'other' }, { kind: 'reasoning' }, { kind: 'tool', text: 5 }]) {
    await t.rejects(read((async function * () { yield part })() as never), { name: 'TypeError', message: /neither a string nor/ })
  }
})

t.test('the error names a promise of a source, and an async function in place of a generator', async t => {
  const fails = async () => { throw new Error('of the model') }
  t.throws(() => piecesOf(fails() as never), { message: /a promise of one: await it/ })
  t.throws(() => piecesOf({ [Symbol.asyncIterator]: fails } as never), { message: /use a generator, async function \*/ })
})

t.test('return stops a source, even while it waits for a part', async t => {
  const { told, source } = stream(() => new Promise(() => {}))
  const texts = piecesOf(source)
  const next = texts.next()
  t.strictSame(await texts.return!(), { done: true, value: undefined })
  t.strictSame(told, ['cancel'])
  t.equal((await next).done, true)

  let isStopped = false
  const generator = piecesOf((async function * () {
    try {
      yield 'a'
      yield 'b'
    } finally {
      await loopTurns()
      isStopped = true
    }
  })())
  await generator.next()
  await generator.return!()
  t.equal(isStopped, true)
  await t.resolves(piecesOf({ [Symbol.asyncIterator]: () => ({ next: async () => ({ done: true, value: undefined }) }) }).return!(), 'a source without return')
})

t.test('map turns each event into any number of pieces', async t => {
  const events = async function * () { for (const n of [0, 1, 2, 3]) yield n }
  const pieces = piecesOf(events(), (n: number) => [undefined, 'a', [{ text: 'b' }, { kind: 'step' as const }], []][n])
  t.strictSame([await pieces.next(), await pieces.next(), await pieces.next(), await pieces.next()].map(({ value }) => value), ['a', { text: 'b' }, { kind: 'step' }, undefined])
  await t.rejects(piecesOf(events(), () => 5 as never).next(), TypeError)
})
