import t from 'tap'
import { chatRetention } from '../../lib/chat/retention.js'

const mib = 1024 * 1024

t.test('by default a store keeps more publications of a chat than of other channels', async t => {
  t.strictSame(chatRetention(), { stored: { size: 10_000, ttl: 3_600_000, bytes: 16 * mib } })
  const large = { size: 20_000, ttl: 7_200_000, bytes: 64 * mib }
  t.strictSame(chatRetention(large, { ttl: 60_000 }), { stored: { ...large, ttl: 60_000 } })
  t.strictSame(chatRetention({}, { size: 5, ttl: 6, bytes: 7 }), { stored: { size: 5, ttl: 6, bytes: 7 } })
})
