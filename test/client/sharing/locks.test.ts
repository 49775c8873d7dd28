import t from 'tap'
import { locksToShare } from '../../../lib/client/sharing/locks.js'

t.test('tabs can share a connection where Web Locks and BroadcastChannel exist', async t => {
  const locks = {}
  Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { locks } })
  t.equal(locksToShare(), locks)
  const { BroadcastChannel } = globalThis
  Reflect.deleteProperty(globalThis, 'BroadcastChannel')
  t.equal(locksToShare(), undefined)
  globalThis.BroadcastChannel = BroadcastChannel
  Object.defineProperty(globalThis, 'navigator', { configurable: true, value: {} })
  t.equal(locksToShare(), undefined)
  Reflect.deleteProperty(globalThis, 'navigator')
  t.equal(locksToShare(), undefined)
})
