import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { guarded, warnOf, watched } from '../../../lib/server/messages/watched.js'

const failure = Object.assign(new Error('it failed'), { code: 'RT_ERR_X' })

/** Ways in which an app makes a promise that rejects: at once, from a promise, and when it is settled later. */
const makers: Record<string, (onUnheard: (error: unknown) => void) => Promise<unknown>> = {
  'a throw': onUnheard => guarded(() => { throw failure }, onUnheard),
  'a rejected promise': onUnheard => guarded(() => Promise.reject(failure), onUnheard),
  'a late rejection': onUnheard => guarded(async () => { await setImmediate(); throw failure }, onUnheard),
  'a promise that is passed on': onUnheard => guarded(() => watched((_resolve, reject) => { setImmediate().then(() => reject(failure)) }, onUnheard), () => t.fail('twice'))
}

const turns = async () => { for (let n = 0; n < 5; n++) await setImmediate() }

const unhandled: unknown[] = []
process.on('unhandledRejection', error => unhandled.push(error))

for (const [name, make] of Object.entries(makers)) {
  t.test(`${name} that nothing is attached to is reported once, and whoever attaches something later gets it`, async t => {
    const reported: unknown[] = []
    const promise = make(error => reported.push(error))
    await turns()
    t.strictSame(reported, [failure])
    await t.rejects(promise, failure)
    t.equal(reported.length, 1)
  })

  t.test(`${name} is not reported where it is awaited, caught or passed to Promise.all`, async t => {
    const onUnheard = () => t.fail('it was reported')
    await t.rejects(make(onUnheard), failure)
    await t.rejects((async () => { await make(onUnheard) })(), failure)
    t.equal(await make(onUnheard).catch(error => error), failure)
    await t.rejects(Promise.all([make(onUnheard)]), failure)
    t.strictSame(await Promise.allSettled([make(onUnheard)]), [{ status: 'rejected', reason: failure }])
    await turns()
  })
}

t.test('what succeeds resolves, and is a plain promise where that is known at once', async t => {
  const onUnheard = () => t.fail('it was reported')
  const atOnce = guarded(() => 1, onUnheard)
  t.equal(atOnce.constructor, Promise)
  t.strictSame([await atOnce, await guarded(async () => 2, onUnheard)], [1, 2])
  t.equal(await watched<number>(resolve => resolve(3), onUnheard), 3)
})

t.test('what an app derives is a plain promise, and its rejection is left to the app', async t => {
  const derived = makers['a throw'](() => t.fail('it was reported')).finally(() => {})
  t.equal(derived.constructor, Promise)
  await turns()
  t.strictSame(unhandled.splice(0), [failure])
})

t.test('the log line has the code, at warn, and a logger that throws ends nothing', async t => {
  const lines: unknown[] = []
  warnOf({ warn: (...line) => lines.push(line) }, 'A message was not sent')(failure)
  t.match(lines, [[{ code: 'RT_ERR_X', err: failure }, /^realtime: A message was not sent, and nothing handles the rejection: it failed\./]])
  t.doesNotThrow(() => warnOf({ warn () { throw failure } }, 'x')(null))
})

t.test('no rejection was left unhandled but those of derived promises', async t => t.strictSame(unhandled, []))
