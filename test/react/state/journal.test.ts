import t from 'tap'
import type { Envelope } from '../../../lib/client/index.js'
import { Journal } from '../../../lib/react/state/journal.js'

const message = (n: number): Envelope => ({ type: 'n', data: n, timestamp: '2026-01-01T00:00:00.000Z' })
const numbers = (journal: Journal, from?: number) => journal.messages(from).map(({ data }) => data)

t.test('a reader gets the messages and the resumes after the place where it stopped', async t => {
  const journal = new Journal()
  journal.add(message(1))
  const stopped = journal.end
  journal.add(message(2))
  journal.resumed({ recovered: true })
  journal.add(message(3))
  t.strictSame(numbers(journal, stopped), [2, 3])
  t.strictSame(journal.resumes(stopped), [{ recovered: true }])
  t.strictSame([numbers(journal), journal.resumes()], [[], []], 'a new reader has missed nothing')
  t.strictSame([numbers(journal, journal.end), journal.resumes(journal.end)], [[], []])
})

t.test('a reader that missed more entries than are kept gets at least the latest 1,000 and recovered: false', async t => {
  const journal = new Journal()
  for (let n = 0; n < 10_000; n++) journal.add(message(n))
  t.equal(journal.end, 10_000)
  const kept = numbers(journal, 0)
  t.ok(kept.length >= 1_000 && kept.length < 2_000, `${kept.length}`)
  t.strictSame(kept, Array.from({ length: kept.length }, (_, n) => 10_000 - kept.length + n))
  t.strictSame(journal.resumes(0), [{ recovered: false }])
  t.strictSame(numbers(journal, 9_990).length, 10)
  t.strictSame(journal.resumes(9_990), [])
  t.strictSame(journal.resumes(10_000 - kept.length), [], 'a reader at the oldest kept entry has missed nothing')
})
