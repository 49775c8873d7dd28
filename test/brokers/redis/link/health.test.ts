import t from 'tap'
import { Health, clusterNode } from '../../../../lib/brokers/redis/link/health.js'
import { clockStart } from '../../../clock.js'

const refused = new Error('connect ECONNREFUSED 127.0.0.1:1')
const noChannel = new Error('NOPERM this user has no permissions to access one of the channels used as arguments')
const closed = new Error('Redis closed the connection')

function observed () {
  const clock = { now: clockStart }
  const lines: string[] = []
  const fields: Array<Record<string, any>> = []
  const write = (level: string) => (given: object, message: string) => {
    fields.push(given)
    lines.push(`${level} ${message}`)
  }
  const health = new Health('realtime:', { error: write('error'), info: write('info') }, () => clock.now)
  return { clock, lines, fields, health }
}

t.test('two connections that fail for one reason cause one line, and one line when both work again', async t => {
  const { clock, lines, fields, health } = observed()
  for (let attempt = 0; attempt < 10; attempt++) {
    for (const part of ['commands', 'subscriber']) health.failed(part, refused)
    clock.now += 500
  }
  t.equal(lines.length, 1)
  t.match(lines[0], /^error realtime: Redis cannot be used: connect ECONNREFUSED 127\.0\.0\.1:1\. Nothing listens there/)
  t.match(lines[0], /Clients stay connected/)
  t.match(fields[0], { part: 'commands', cause: 'ECONNREFUSED', err: Error })
  health.well('commands')
  t.equal(lines.length, 1, 'the other connection still fails')
  health.well('subscriber')
  t.strictSame(lines.slice(1), ['info realtime: Redis: the connection works again, after 5.0 s'])
  t.match(fields[1], { ms: 5_000 })
})

t.test('a second cause in the same outage is logged in a line of its own', async t => {
  const { lines, health } = observed()
  health.failed('commands', refused)
  health.failed('commands', new Error('LOADING Redis is loading the dataset in memory'))
  health.failed('commands', refused)
  t.equal(lines.length, 2)
  t.match(lines[1], /LOADING/)
  t.match(health.cause, { code: 'ECONNREFUSED' })
})

t.test('a closed connection without a reason does not hide a known reason', async t => {
  const { lines, health } = observed()
  health.failed('commands', refused)
  health.failed('commands', closed)
  t.equal(lines.length, 1)
  health.failed('subscriber', closed)
  t.equal(lines.length, 1, 'the reason of the other connection is not hidden either')
  t.match(health.cause, { code: 'ECONNREFUSED' })
})

t.test('an error about a missing connection is not logged', async t => {
  const { lines, health } = observed()
  health.failed('TIME', new Error('Connection is closed.'))
  t.strictSame(lines, [])
  t.equal(health.isFailing('TIME'), false)
})

t.test('a refused announcement is an outage of its own, and its line names the consequence', async t => {
  const { clock, lines, health } = observed()
  health.failed('PUBLISH', noChannel)
  t.match(lines[0], /^error realtime: Redis refuses PUBLISH: NOPERM .* ACL SETUSER <user> &realtime:\*/)
  t.match(lines[0], /Publications are stored, and reach clients up to 15 s late/)
  health.failed('SUBSCRIBE', noChannel)
  t.match(lines[1], /^error realtime: Redis refuses SUBSCRIBE/)
  health.failed('commands', refused)
  clock.now = clockStart + 2_000
  health.well('commands')
  t.match(lines.slice(2), [/ECONNREFUSED/, /the connection works again/], 'the end of another outage is logged at once')
  t.equal(health.cause, undefined, 'there is no cause while commands can be sent')
  health.well('PUBLISH')
  t.match(lines[4], /info realtime: Redis: PUBLISH works again, after 2.0 s/)
})

t.test('a line ends with the consequence for the app, if waiting cures the failure', async t => {
  const lineOf = (part: string, error: Error) => {
    const { lines, health } = observed()
    health.failed(part, error)
    return lines.join()
  }
  for (const part of ['PUBLISH', 'SPUBLISH', 'SUBSCRIBE', 'SSUBSCRIBE']) t.match(lineOf(part, noChannel), /\. Publications are stored, and reach clients up to 15 s late$/, part)
  t.match(lineOf(clusterNode, refused), /\. Nothing can be sent to the channels of this node until it is back, or replaced$/)
  for (const part of ['commands', 'subscriber']) t.match(lineOf(part, refused), /\. Clients stay connected, and nothing can be sent until it is back$/, part)
  t.notMatch(lineOf('commands', new Error('WRONGPASS invalid username-password pair or user is disabled.')), /until it is back/, 'a wrong password')
  t.notMatch(lineOf("the script 'append'", new Error("OOM command not allowed when used memory > 'maxmemory'.")), /until it is back/, 'a full Redis')
})

t.test('commands that Redis refuses because of one state cause one line', async t => {
  const { lines, health } = observed()
  const full = new Error("OOM command not allowed when used memory > 'maxmemory'.")
  for (const part of ["the script 'append'", "the script 'beat'", 'SET']) health.failed(part, full)
  t.equal(lines.length, 1)
  for (const part of ["the script 'append'", "the script 'beat'", 'SET']) health.well(part)
  t.equal(lines.length, 2)
})

t.test('each command without permission is logged in a line of its own', async t => {
  const { lines, health } = observed()
  for (const name of ['XADD', 'HSET']) health.failed(name, new Error("ERR The user executing the script can't run this command or subcommand"))
  t.equal(lines.length, 2)
  t.match(health.setupFault!.message, /Redis refuses HSET: .* Redis refuses XADD: .*command\. Give the Redis user the command/)
})

t.test('setupFault names each fault of the setup once, and ignores the faults of a single node of a Cluster', async t => {
  const { health } = observed()
  health.failed('commands', refused)
  t.equal(health.setupFault, undefined)
  health.failed(clusterNode, new Error('127.0.0.1:1: WRONGPASS invalid username-password pair'))
  t.equal(health.setupFault, undefined)
  for (const part of ['commands', 'subscriber']) health.failed(part, new Error('WRONGPASS invalid username-password pair'))
  for (const part of ['PUBLISH', 'SUBSCRIBE']) health.failed(part, noChannel)
  const { code, message, cause } = health.setupFault as Error & { code: string }
  t.equal(code, 'RT_ERR_BROKER_REFUSED')
  for (const text of ['WRONGPASS', 'Correct the user name', 'refuses PUBLISH', 'refuses SUBSCRIBE', 'ACL SETUSER <user> &realtime:*']) {
    t.equal(message.split(text).length, 2, `${text} once in: ${message}`)
  }
  t.match(cause, { message: /WRONGPASS/ })
})

t.test('a command that works again ends the failures of other commands with the same reason', async t => {
  const { lines, health } = observed()
  const noKey = new Error('NOPERM this user has no permissions to access one of the keys used as arguments')
  for (const part of ["the script 'read'", "the script 'enter'"]) health.failed(part, noKey)
  health.well("the script 'read'")
  t.equal(lines.length, 2)
  t.match(lines[1], /storing works again/)
})

t.test('a command that failed and was not sent again is forgotten after 30 s', async t => {
  const { clock, lines, health } = observed()
  health.failed("the script 'mend'", noChannel)
  clock.now = clockStart + 29_000
  health.well('PING')
  t.equal(lines.length, 1)
  clock.now = clockStart + 30_001
  health.well('PING')
  t.match(lines[1], /works again, after 0.0 s/, 'the outage ends with its last failure')
})

t.test('a command that failed again less than 30 s ago is not forgotten, and a failing connection never is', async t => {
  const { clock, lines, health } = observed()
  health.failed('commands', refused)
  health.failed("the script 'mend'", noChannel)
  clock.now = clockStart + 20_000
  health.failed("the script 'mend'", noChannel)
  clock.now = clockStart + 31_000
  health.well('PING')
  t.strictSame(['commands', "the script 'mend'"].map(part => health.isFailing(part)), [true, true])
  t.equal(lines.length, 2)
})

t.test('silence is a cause only while no other cause is known', async t => {
  const { lines, health } = observed()
  health.failed('commands', refused)
  health.silent()
  t.equal(lines.length, 1)
  health.well('commands')
  health.failed("the script 'read'", noChannel)
  health.silent("the script 'read'")
  t.match(lines.at(-1), /NOPERM/)
  health.silent()
  t.match(lines.at(-1), /^error realtime: Redis cannot be used: Redis does not answer\. It hangs/)
  health.well('subscriber')
  t.match(lines.at(-1), /does not answer/, 'a working subscriber is not an answer')
  health.well('PING')
  t.match(lines.at(-1), /works again/, 'any answer ends the silence')
})

t.test('RT_ERR_BROKER and RT_ERR_UNCONFIRMED carry the cause', async t => {
  const { health } = observed()
  t.match(health.refusal(), { code: 'RT_ERR_BROKER', message: /Redis does not answer/ })
  t.match(health.crowded(), { code: 'RT_ERR_BROKER', message: /too much is waiting for Redis already\)/ })
  health.failed('commands', refused)
  t.match(health.refusal(), { code: 'RT_ERR_BROKER', message: /ECONNREFUSED 127\.0\.0\.1:1\. Nothing listens there/, cause: { message: refused.message } })
  const crowded = /too much is waiting for Redis already: connect ECONNREFUSED/
  t.match(health.crowded(), { code: 'RT_ERR_BROKER', message: crowded, cause: { message: refused.message } })
  t.match(health.doubt(), { code: 'RT_ERR_UNCONFIRMED', cause: { message: refused.message } })
  t.match(health.refusal('', new Error('Redis does not answer')), { message: /ECONNREFUSED/ }, 'a known cause replaces silence')
  t.match(health.refusal('', new Error('OOM command not allowed')), { message: /OOM/ }, 'an answer of Redis replaces a known cause')
  const before = health.refusal()
  t.equal(health.refusal('', before), before, 'a refusal is not wrapped again')
  health.well('commands')
  health.failed("the script 'read'", noChannel)
  t.match(health.refusal("the script 'read'", new Error('Redis does not answer')), { message: /NOPERM/ })
})

t.test('listeners are called for each new failure until they unbind', async t => {
  const { health } = observed()
  let count = 0
  const unbind = health.onFailed(() => count++)
  health.failed('commands', refused)
  health.failed('commands', refused)
  unbind()
  health.failed('subscriber', refused)
  t.equal(count, 1)
})

t.test('after close nothing is logged and no listener is called', async t => {
  const { lines, health } = observed()
  let count = 0
  health.onFailed(() => count++)
  health.failed('commands', refused)
  health.close()
  health.failed('subscriber', new Error('LOADING Redis is loading the dataset in memory'))
  health.well('commands')
  t.strictSame([lines.length, count], [1, 1])
})

t.test('the health works with a logger that throws, and without a logger', async t => {
  const broken = () => { throw new Error('of the logger') }
  for (const log of [{ error: broken, info: broken }, undefined]) {
    const health = new Health('realtime:', log)
    t.doesNotThrow(() => health.failed('commands', refused))
    t.doesNotThrow(() => health.well('commands'))
  }
})
