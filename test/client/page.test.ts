import t from 'tap'
import { isHidden, watchPage } from '../../lib/client/page.js'

/** Gives this process the globals of a page. */
function pageOf (t: { teardown (action: () => void): void }, document: object) {
  const page = new EventTarget()
  const parts = { document, addEventListener: page.addEventListener.bind(page), removeEventListener: page.removeEventListener.bind(page) }
  Object.assign(globalThis, parts)
  t.teardown(() => { for (const name of Object.keys(parts)) Reflect.deleteProperty(globalThis, name) })
  return page
}

t.test('outside a page, watchPage has no effect', async t => {
  t.equal(isHidden(), false)
  watchPage(() => t.fail(), () => t.fail())()
})

t.test('the events of a page call wake and sleep, until the watch ends', async t => {
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' })
  const page = pageOf(t, document)
  const seen: string[] = []
  const end = watchPage(() => seen.push('wake'), () => seen.push('sleep'))
  for (const event of ['online', 'pageshow', 'pagehide']) page.dispatchEvent(new Event(event))
  for (const event of ['resume', 'freeze', 'visibilitychange']) document.dispatchEvent(new Event(event))
  t.strictSame(seen, ['wake', 'wake', 'sleep', 'wake', 'sleep', 'wake'])
  document.visibilityState = 'hidden'
  t.equal(isHidden(), true)
  document.dispatchEvent(new Event('visibilitychange'))
  t.equal(seen.length, 6, 'a hidden page does not wake')
  page.dispatchEvent(new Event('online'))
  t.equal(seen.length, 7, 'it wakes when the network is back')
  end()
  page.dispatchEvent(new Event('online'))
  document.dispatchEvent(new Event('freeze'))
  t.equal(seen.length, 7)
})

t.test('a document without listeners and without a visibility does not count as hidden', async t => {
  const page = pageOf(t, {})
  let wakes = 0
  const end = watchPage(() => wakes++, () => {})
  page.dispatchEvent(new Event('online'))
  t.strictSame([wakes, isHidden()], [1, false])
  end()
})
