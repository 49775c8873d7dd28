import { mock } from 'node:test'
import t from 'tap'
import { GrowingPart, messageForm, partForm, type GrowingPartParts } from '../../../lib/chat/replies/growing-part.js'
import { errors } from '../../../lib/errors.js'
import { loopTurns } from '../../waiting.js'
import { down, FakeContext } from '../runs/context.js'

function setup (parts: Partial<GrowingPartParts> = {}) {
  const context = new FakeContext()
  const part = new GrowingPart({
    context,
    outlet: {
      publish: (type, data) => context.publish({ type, data } as never),
      deliver: (type, data) => context.deliver({ type, data } as never)
    },
    form: partForm,
    head: { message_id: 'm', part_id: '1', kind: 'reasoning' },
    charge: () => true,
    onClosed: () => {},
    ...parts
  })
  return { context, part }
}

const head = { message_id: 'm', part_id: '1', kind: 'reasoning' }

t.test('a part begins, grows and ends, with the fields that were set', async t => {
  const { context, part } = setup()
  part.begin()
  context.turn()
  part.set({ signature: 's' })
  t.equal(part.write('a'), true)
  context.turn()
  part.write('b')
  await part.close('complete', { end: true })
  t.strictSame(context.published, [
    { type: 'chat_part_delta', data: { ...head, at: 0, text: '' } },
    { type: 'chat_part_delta', data: { ...head, signature: 's', at: 0, text: 'a' } },
    { type: 'chat_part', data: { ...head, signature: 's', end: true, text: 'ab', status: 'complete' } }
  ])
  part.set({ late: true })
  t.strictSame(part.fields, { signature: 's', end: true })
  part.begin()
  context.turn()
  t.equal(part.write('c'), false)
  t.equal(context.published.length, 3)
})

t.test('a part among others that was never published begins before its final form', async t => {
  const { context, part } = setup({ form: messageForm, head: { message_id: 'm.1' }, tail: { role: 'assistant' } })
  part.write('a')
  await part.close('complete', {}, true)
  t.strictSame(context.published, [
    { type: 'chat_delta', data: { message_id: 'm.1', at: 0, text: 'a' } },
    { type: 'chat_message', data: { message_id: 'm.1', role: 'assistant', content: 'a', status: 'complete' } }
  ])
})

t.test('text that is written while the broker stores a delta is published after it, and again when it could not be stored', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const answers: Array<{ resolve: () => void, reject: (error: Error) => void }> = []
  const published: unknown[] = []
  const { context, part } = setup({
    outlet: {
      publish: (_type: string, { at, text }: { at: number, text: string }) => {
        published.push([at, text])
        return new Promise<void>((resolve, reject) => answers.push({ resolve, reject }))
      },
      deliver () {}
    } as never
  })
  const write = (text: string) => {
    part.write(text)
    context.turn()
  }
  write('a')
  write('b')
  t.strictSame(published, [[0, 'a']], 'one delta at a time')
  answers[0].resolve()
  await loopTurns()
  context.turn()
  t.strictSame(published, [[0, 'a'], [1, 'b']])
  t.not(part.stored, undefined)
  write('c')
  answers[1].reject(new errors.BROKER('it is away'))
  await loopTurns()
  t.equal(part.stored, undefined)
  mock.timers.tick(500)
  context.turn()
  t.strictSame(published.slice(2), [[1, 'bc']])
  answers[2].resolve()
  await part.close('complete')
})

t.test('a part that stands alone and was never published has only its final form', async t => {
  const { context, part } = setup()
  t.equal(part.write(''), true)
  part.write('a')
  await part.close('complete')
  t.strictSame(context.published, [{ type: 'chat_part', data: { ...head, text: 'a', status: 'complete' } }])
  t.equal(part.write(''), false, 'a closed part takes nothing more')
  t.equal(setup({ charge: () => false }).part.write(''), true, 'no text costs nothing')
})

t.test('a dropped part publishes nothing', async t => {
  const { context, part } = setup()
  part.write('a')
  part.drop()
  context.turn()
  await part.close('complete')
  t.strictSame([context.published, part.isClosed, part.text], [[], true, 'a'])
})

t.test('fields that the broker failed to store are published again, together with newer fields', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const { context, part } = setup()
  context.answer = down
  part.set({ a: 1, b: 1 })
  context.turn()
  context.answer = () => ({})
  part.set({ b: 2 })
  mock.timers.tick(500)
  context.turn()
  t.strictSame(context.published, [{ type: 'chat_part_delta', data: { ...head, a: 1, b: 2, at: 0, text: '' } }])
})
