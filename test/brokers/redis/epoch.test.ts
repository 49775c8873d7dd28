import t from 'tap'
import { newEpoch } from '../../../lib/brokers/redis/epoch.js'
import { every } from '../../every.js'

t.test('epochs are valid in a position, and differ from each other', async t => {
  const epochs = Array.from({ length: 1_000 }, newEpoch)
  t.ok(every(epochs, epoch => /^[a-z0-9]{1,32}$/.test(epoch)))
  t.equal(new Set(epochs).size, 1_000)
})
