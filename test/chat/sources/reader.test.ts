import t from 'tap'
import { readerOf } from '../../../lib/chat/sources/reader.js'

t.test('a stream is iterated to its end', async t => {
  const reader = readerOf(new ReadableStream<string>({
    start (controller) {
      controller.enqueue('a')
      controller.close()
    }
  }))
  t.strictSame(await reader.next(), { done: false, value: 'a' })
  t.strictSame(await reader.next(), { done: true, value: undefined })
})

t.test('return cancels a stream, even while it waits for a chunk', async t => {
  let isCancelled = false
  const reader = readerOf(new ReadableStream<string>({ pull: () => new Promise(() => {}), cancel () { isCancelled = true } }))
  const next = reader.next()
  t.strictSame(await reader.return!(), { done: true, value: undefined })
  t.equal(isCancelled, true)
  t.equal((await next).done, true)
})
