import t from 'tap'
import { Replay } from '../../lib/adapters/replay.js'

t.test('a replay without frames is over at once, and this is reported once', t => {
  const replay = new Replay()
  t.equal(replay.isToAsk(), false, 'nothing is announced yet')
  replay.start(0)
  t.strictSame([replay.isToldOver(), replay.isToldOver(), replay.isToAsk()], [true, false, false])
  t.end()
})

t.test('a replay is over with the last announced frame, or with an answered ping without a frame in between', t => {
  const whole = new Replay()
  whole.start(2)
  whole.advance()
  t.equal(whole.isToldOver(), false)
  whole.advance()
  t.equal(whole.isToldOver(), true)
  const merged = new Replay()
  merged.start(2)
  merged.answered()
  t.equal(merged.isToldOver(), false, 'the answer to another ping')
  t.strictSame([merged.isToAsk(), merged.isToAsk()], [true, false])
  merged.advance()
  merged.answered()
  t.equal(merged.isToldOver(), false)
  t.equal(merged.isToAsk(), true)
  merged.answered()
  t.equal(merged.isToldOver(), true)
  t.end()
})
