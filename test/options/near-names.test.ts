import t from 'tap'
import { editDistance, nearNames } from '../../lib/options/near-names.js'

const options = [
  'authenticate', 'authorize', 'allowedOrigins', 'onMessage', 'messages', 'timeouts', 'timeouts.handler', 'timeouts.run', 'timeouts.authenticate',
  'limits', 'limits.rate', 'limits.run', 'limits.runs', 'limits.message', 'limits.connectionsPerUser', 'chat', 'chat.onMessage', 'heartbeat.timeout'
]

t.test('editDistance counts the letters to insert, delete, replace or swap', async t => {
  const cases: Array<[from: string, to: string, distance: number]> = [
    ['', '', 0], ['a', '', 1], ['', 'abc', 3], ['rate', 'rate', 0], ['rates', 'rate', 1], ['raet', 'rate', 1], ['histroy', 'history', 1],
    ['kitten', 'sitting', 3], ['ca', 'abc', 3], ['authentication', 'authenticate', 3]
  ]
  for (const [from, to, distance] of cases) {
    t.equal(editDistance(from, to), distance, `${from} → ${to}`)
    t.equal(editDistance(to, from), distance, `${to} → ${from}`)
  }
})

const near: Record<string, [written: string, names: string[]][]> = {
  'nearNames returns the right spelling of a misspelt name': [
    ['authenticated', ['authenticate']], ['authentification', ['authenticate']], ['timeouts.handlers', ['timeouts.handler']],
    ['limits.connectionPerUser', ['limits.connectionsPerUser']], ['chat.onMesage', ['chat.onMessage']], ['limit', ['limits']]
  ],
  'nearNames ignores case, underscores and hyphens': [
    ['on_message', ['onMessage']], ['Authenticate', ['authenticate']], ['chat.onmessage', ['chat.onMessage']],
    ['limits.connections_per_user', ['limits.connectionsPerUser']], ['allowed-origins', ['allowedOrigins']]
  ],
  'nearNames returns names that contain the given part': [['origins', ['allowedOrigins']], ['auth', ['authenticate', 'authorize']]],
  'nearNames returns options of other sections': [
    ['rate', ['limits.rate']], ['limits.handler', ['timeouts.handler']], ['limits.onMessage', ['onMessage', 'chat.onMessage']],
    ['chat.run', ['timeouts.run', 'limits.run']], ['timeouts.limits', ['limits']]
  ],
  'nearNames returns the nearest of two names first': [['timeout', ['heartbeat.timeout', 'timeouts']]],
  'nearNames ignores names that differ too much': [
    ['cors', []], ['x', []], ['', []], ['limits.', []], ['limits.foo', []], ['chat.rat', []], ['aut', []]
  ]
}

for (const [what, cases] of Object.entries(near)) {
  t.test(what, async t => {
    for (const [written, names] of cases) t.strictSame(nearNames(written, options), names, written)
  })
}

t.test('nearNames returns nothing when there are no options', async t => {
  t.strictSame(nearNames('rate', []), [])
})
