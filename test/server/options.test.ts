import { Type } from '@sinclair/typebox'
import t from 'tap'
import { resolveOptions } from '../../lib/plugin-options.js'
import { serverContradictions } from '../../lib/server/options.js'
import { found } from '../every.js'

const valid = resolveOptions({})

t.test('the default options contain no contradiction', async t => {
  t.strictSame(found(serverContradictions(valid), ([isWrong]) => isWrong), [])
})

t.test('each contradiction of options gives exactly one error text, which names the options', async t => {
  const hook = () => undefined
  const { limits, heartbeat } = valid
  const rows: Array<[options: object, cure: RegExp]> = [
    [{ insecure: true, authenticate: hook }, /'insecure'.*'authenticate'/],
    [{ authorize: hook }, /'authorize'.*'authenticate'/],
    [{ renew: hook }, /'renew'.*'authenticate'/],
    [{ allowedOrigins: ['https://a.example/'] }, /'https:\/\/a.example\/' in 'allowedOrigins'/],
    [{ heartbeat: { ...heartbeat, timeout: heartbeat.interval } }, /'heartbeat.timeout'.*'heartbeat.interval'/],
    [{ limits: { ...limits, burst: limits.rate - 1 } }, /'limits.burst'.*'limits.rate'/],
    [{ limits: { ...limits, userRate: limits.rate - 1 } }, /'limits.userRate'/],
    [{ limits: { ...limits, userBurst: limits.burst - 1 } }, /'limits.userBurst'/],
    [{ history: { ...valid.history, bytes: limits.message - 1 } }, /'limits.message'.*'history.bytes'/],
    [{ limits: { ...limits, stored: limits.message - 1 } }, /'limits.message'.*'limits.stored'/],
    [{ answers: { a: Type.Null() } }, /'answers.a'.*'onMessage.a'/],
    [{ limits: { ...limits, channelsPerUser: limits.channels - 1 } }, /'limits.channelsPerUser'.*'limits.channels'/],
    [{ onMessage: { ping: hook } }, /'onMessage.ping'/],
    [{ onMessage: { subscribe: hook } }, /'onMessage.subscribe'/],
    [{ onMessage: { unsubscribe: hook } }, /'onMessage.unsubscribe'/],
    [{ onMessage: { presence: hook } }, /'onMessage.presence'/],
    [{ onMessage: { renew: hook } }, /'onMessage.renew'/],
    [{ broker: {} }, /'broker' must be a broker/]
  ]
  for (const [options, cure] of rows) {
    const wrong = serverContradictions({ ...valid, ...options }).filter(([isWrong]) => isWrong)
    t.match(wrong.map(([, text]) => text), [cure], cure.source)
    t.equal(wrong.length, 1, cure.source)
  }
})
