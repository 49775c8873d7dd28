import { mock } from 'node:test'
import { Type } from '@sinclair/typebox'
import t from 'tap'
import { LiveQuestion, type QuestionParts } from '../../../lib/chat/runs/question.js'
import { movedClock } from '../../clock.js'
import { down, FakeContext } from './context.js'

function ask (parts: Partial<QuestionParts> = {}, context = new FakeContext()) {
  let closed = 0
  const question = new LiveQuestion({
    context,
    outlet: {
      publish: (type, data) => context.publish({ type, data } as never),
      deliver: (type, data) => context.deliver({ type, data } as never)
    },
    requestId: 'q',
    runId: 'r',
    question: { prompt: 'p' },
    timeout: Infinity,
    onClosed: () => { closed++ },
    ...parts
  })
  question.answered.catch(() => {})
  question.ask()
  return { context, question, closed: () => closed }
}

t.test('a question takes the first answer that matches its schema, and no other', async t => {
  const schema = Type.Object({ yes: Type.Boolean() })
  const { context, question, closed } = ask({ question: { prompt: 'p', schema, component: 'buttons' } })
  t.strictSame(context.published[0], {
    type: 'input_request', data: { request_id: 'q', run_id: 'r', prompt: 'p', schema: JSON.parse(JSON.stringify(schema)), component: 'buttons' }
  })
  t.equal(question.answer({ yes: 1 }, 'u'), '/value/yes Expected boolean')
  t.match(question.answer(undefined, 'u'), /^\/value /)
  t.equal(question.answer({ yes: true }, 'u'), undefined)
  question.answer({ yes: false }, 'v')
  question.close('complete')
  t.strictSame(await question.answered, { yes: true })
  t.strictSame(context.published.slice(1), [
    { type: 'input_closed', data: { request_id: 'q', run_id: 'r', reason: 'answered', value: { yes: true }, user_id: 'u' } }
  ])
  t.equal(closed(), 1)
})

t.test('a question with an invalid schema rejects with a TypeError and is not published', async t => {
  for (const [schema, message] of [
    [Type.Object({ mail: Type.String({ format: 'no-such-format' }) }), /'no-such-format'.*FormatRegistry\.Set/],
    [{ type: 'string' } as never, /not a TypeBox schema/]
  ] as const) {
    const { context, question, closed } = ask({ question: { prompt: 'p', schema } })
    await t.rejects(question.answered, { name: 'TypeError', message })
    t.strictSame(context.published, [])
    t.equal(closed(), 1)
  }
})

t.test('a question without a schema accepts any answer', async t => {
  const { question } = ask()
  question.answer(undefined, 'u')
  t.equal(await question.answered, undefined)
})

t.test('a question that is not answered in time is closed and rejects with RT_ERR_NO_ANSWER', async t => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000 })
  t.teardown(() => mock.timers.reset())
  const { context, question } = ask({ timeout: 1_000 })
  t.equal(context.published[0].data.expires_at, '1970-01-01T00:00:02.000Z')
  mock.timers.tick(999)
  t.equal(context.published.length, 1)
  mock.timers.tick(1)
  await t.rejects(question.answered, { code: 'RT_ERR_NO_ANSWER' })
  t.match(context.published[1], { data: { reason: 'timeout', value: undefined } })
  const answered = ask({ timeout: 1_000 })
  answered.question.answer(1, 'u')
  mock.timers.tick(1_000)
  t.equal(answered.context.published.length, 2)
})

t.test('a question is closed with its run and rejects with RT_ERR_RUN_ENDED', async t => {
  for (const [outcome, reason] of [['complete', 'interrupted'], ['cancelled', 'cancelled'], ['error', 'error']] as const) {
    const { context, question } = ask()
    question.close(outcome)
    await t.rejects(question.answered, { code: 'RT_ERR_RUN_ENDED' })
    t.match(context.published[1], { data: { reason } })
  }
})

t.test('a question with an invalid timeout or schema rejects and is not published', async t => {
  for (const parts of [{ timeout: NaN }, { timeout: 1e300 }, { question: { prompt: 'p', schema: { type: 'string' } as never } }]) {
    const { context, question, closed } = ask(parts)
    await t.rejects(question.answered)
    question.close('error')
    t.strictSame([context.published, closed()], [[], 1])
  }
  const context = new FakeContext()
  context.answer = () => { throw new Error('not JSON') }
  await t.rejects(ask({}, context).question.answered, { message: 'not JSON' })
})

t.test('a question that the broker did not store, or did not confirm, is closed with an error', async t => {
  for (const answer of [down, async () => down()]) {
    const context = new FakeContext()
    context.answer = answer
    const { question, closed } = ask({}, context)
    await t.rejects(question.answered, { code: 'RT_ERR_BROKER' })
    t.match(context.published.at(-1), { type: 'input_closed', data: { reason: 'error' } })
    t.equal(closed(), 1)
  }
})

t.test('a closed question has no timer, and a question without a timeout never has one', async t => {
  const { timers, planned, pass } = movedClock(t)
  const context = () => Object.assign(new FakeContext(), { timers })
  ask({}, context())
  t.equal(planned.size, 0)
  const answered = ask({ timeout: 1_000 }, context())
  const ended = ask({ timeout: 1_000 }, context())
  const late = ask({ timeout: 1_000 }, context())
  t.equal(planned.size, 3)
  answered.question.answer(1, 'u')
  ended.question.close('cancelled')
  t.equal(planned.size, 1)
  pass(999)
  t.equal(late.closed(), 0)
  pass(1)
  t.equal(late.closed(), 1)
  t.match(late.context.published.at(-1), { type: 'input_closed', data: { reason: 'timeout' } })
})
