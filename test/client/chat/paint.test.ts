import { mock } from 'node:test'
import t from 'tap'
import { beforePaint } from '../../../lib/client/chat/paint.js'

/** A page whose frames and timers the test controls. */
function page (t: { teardown (action: () => void): void }, hasScreen = true) {
  mock.timers.enable({ apis: ['setTimeout'] })
  const frames = new Map<number, () => void>()
  let count = 0
  if (hasScreen) {
    Object.assign(globalThis, {
      requestAnimationFrame: (action: () => void) => frames.set(++count, action) && count,
      cancelAnimationFrame: (handle: number) => { frames.delete(handle) }
    })
  }
  t.teardown(() => {
    mock.timers.reset()
    for (const name of ['requestAnimationFrame', 'cancelAnimationFrame']) delete (globalThis as Record<string, unknown>)[name]
  })
  let calls = 0
  beforePaint(() => { calls++ })
  return { frames, calls: () => calls }
}

t.test('the action is called with the next frame, and not by a timer after it', async t => {
  const { frames, calls } = page(t)
  t.equal(calls(), 0)
  frames.get(1)!()
  t.equal(calls(), 1)
  mock.timers.tick(1_000)
  t.equal(calls(), 1)
})

t.test('on a hidden page the action is called by a timer, and not with a frame after it', async t => {
  const { frames, calls } = page(t)
  mock.timers.tick(99)
  t.equal(calls(), 0)
  mock.timers.tick(1)
  t.equal(calls(), 1)
  t.equal(frames.size, 0)
})

t.test('without a screen the action is called in the next turn of the event loop', async t => {
  const { calls } = page(t, false)
  t.equal(calls(), 0)
  mock.timers.tick(0)
  t.equal(calls(), 1)
})
