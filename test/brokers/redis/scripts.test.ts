import { createHash } from 'node:crypto'
import t from 'tap'
import * as scripts from '../../../lib/brokers/redis/scripts.js'
import { RedisServer, skipRedis } from '../../redis-server.js'

const { append, beat, find, heads, mend, read, separator } = scripts

type Args = Array<string | number>

t.test('the scripts do in Redis what their callers count on', { skip: skipRedis }, async t => {
  const client = (await RedisServer.start(t)).client(t)
  const run = (script: scripts.Script, keys: string[], args: Args) =>
    client.eval(script.text, keys.length, ...keys, ...args) as Promise<Args>
  const store = (key: string, bodies: string[], deadline = Date.now() + 60_000) =>
    run(append, [key, `${key}:meta`], [deadline, 'e1', 'PUBLISH', 3, 60_000, 1_000_000, 600_000, bodies.length, ...bodies.flatMap(body => [`m-${body}`, body])])
  const readAfter = (key: string, epoch = '', offset = 0, mark = '', fork = 0) =>
    run(read, [key, `${key}:meta`], ['e2', 3, 600_000, epoch, offset, mark, fork]).then(([_now, ...rest]) => rest)

  t.test('each has the digest that Redis knows it by', async t => {
    const exported = Object.values(scripts).filter(script => typeof script === 'object' && 'sha' in script)
    const { scripts: all } = scripts
    t.strictSame(new Set(all), new Set(exported))
    for (const { text, sha } of all) {
      t.equal(sha, createHash('sha1').update(text).digest('hex'))
      t.equal(await client.script('LOAD', text), sha)
    }
  })

  t.test('stores and announces in one step', async t => {
    const subscriber = client.duplicate()
    t.teardown(() => subscriber.disconnect())
    await subscriber.subscribe('a')
    const heard = new Promise<string>(resolve => subscriber.once('message', (_channel, message) => resolve(message)))
    const [now, epoch, head] = await store('a', ['x', 'y'])
    t.ok(Math.abs(Number(now) - Date.now()) < 1_000)
    t.strictSame([epoch, head], ['e1', 2])
    const [first, ...parts] = (await heard).split(separator)
    t.strictSame([first, ...parts], [`e1 1 ${now}`, 'm-x x', 'm-y y'])
    t.strictSame((await client.xrange('a', '-', '+')).map(([id]) => id), ['1-0', '2-0'])
    const [ofStream, ofMeta] = [await client.pttl('a'), await client.pttl('a:meta')]
    t.ok(ofStream > 0 && ofStream <= 60_000, `the stream expires in ${ofStream} ms`)
    t.ok(ofMeta > 60_000, `its meta expires in ${ofMeta} ms`)
  })

  t.test('nothing is stored after the deadline', async t => {
    t.equal((await store('late', ['x'], Date.now() - 1)).length, 1)
    t.equal(await client.exists('late', 'late:meta'), 0)
  })

  t.test('a channel that cannot be stored says so, and the others are', async t => {
    await client.set('bad:meta', 'no hash')
    const keys = ['bad', 'bad:meta', 'good', 'good:meta']
    const [, text, head, ...good] = await run(append, keys, [Date.now() + 60_000, 'e1', 'PUBLISH', 3, 1, 9, 1, 1, 'm', 'x', 3, 1, 9, 1, 1, 'm', 'y'])
    t.match(text, /ERR|WRONGTYPE/)
    t.equal(head, -1)
    t.strictSame(good, ['e1', 1])
  })

  t.test('a stream without its meta begins again', async t => {
    await store('evicted', ['x', 'y'])
    await client.del('evicted:meta')
    t.strictSame((await store('evicted', ['z'])).slice(1), ['e1', 1])
    t.equal(await client.xlen('evicted'), 1)
  })

  t.test('a stream keeps at most a number of bytes, and the newest publications whatever their size', async t => {
    const publish = (bodies: string[], size = 10_000, ttl = 60_000) =>
      run(append, ['b', 'b:meta'], [Date.now() + 60_000, 'e1', 'PUBLISH', size, ttl, 100_000, 600_000, bodies.length, ...bodies.flatMap(body => ['m', body])])
    const bytes = async () => {
      const entries = await client.xrange('b', '-', '+')
      return entries.reduce((sum, [, fields]) => sum + fields[fields.indexOf('b') + 1].length + scripts.publicationOverhead, 0)
    }
    const sizes = [10, 100, 5_000, 3_000, 30_000]
    let least = Infinity
    for (let n = 0; n < 300; n++) {
      await publish([sizes[n % sizes.length], sizes[(n * 7) % sizes.length]].map(length => 'x'.repeat(length)))
      const kept = await bytes()
      // Redis drops whole nodes of 4 KiB.
      if (kept > 100_000 + 4_096) t.fail(`${kept} bytes after ${n}`)
      if (n > 50) least = Math.min(least, kept)
    }
    t.ok(least > 50_000, `at least ${least} bytes are kept`)
    const { length } = await client.xrange('b', '-', '+')
    await publish(['y'.repeat(200_000)])
    t.strictSame((await client.xrange('b', '-', '+')).map(([, fields]) => fields[5].length), [200_000], `instead of ${length}`)
    await publish(['z'])
    t.equal((await client.xrange('b', '-', '+')).length, 1)
    t.strictSame((await run(append, ['b', 'b:meta'], [Date.now() + 60_000, 'e9', 'PUBLISH', 5, 60_000, 100_000, 600_000, 1, 'm', 'x'])).slice(1), ['e1', 603])
  })

  t.test('a stream that is published to does not keep what is older than its ttl', async t => {
    const ttl = 200
    const publish = (body: string) => run(append, ['old', 'old:meta'], [Date.now() + 60_000, 'e1', 'PUBLISH', 10_000, ttl, 1_000_000, 600_000, 1, 'm', body])
    for (let n = 0; n < 5; n++) await publish('x'.repeat(5_000))
    const end = Date.now() + 2 * ttl
    while (Date.now() < end) await publish('y')
    const bodies = (await client.xrange('old', '-', '+')).map(([, fields]) => fields[5])
    t.notOk(bodies.some(body => body.startsWith('x')))
    t.ok(bodies.length > 0)
  })

  t.test('publications of an older version, without sums, are read, mended and trimmed with the others', async t => {
    const older = async (from: number, to: number) => {
      for (let n = from; n <= to; n++) await client.xadd('mixed', 'MAXLEN', '~', 100, n, 'm', `m${n}`, 't', Date.now(), 'b', 'o'.repeat(5_000))
      await client.hset('mixed:meta', 'e', 'e1', 'o', to, 'm', `m${to}`)
    }
    const newer = (n: number) => run(append, ['mixed', 'mixed:meta'], [Date.now() + 60_000, 'e9', 'PUBLISH', 100, 60_000, 100_000, 600_000, 1, `m${n}`, 'n'.repeat(5_000)])
    await older(1, 5)
    t.strictSame((await newer(6)).slice(1), ['e1', 6])
    t.equal(await client.xlen('mixed'), 6, 'their bytes are not known, and they are kept')
    await older(7, 8)
    const args = ['e1', 8, 'm8', 100, 60_000, 'PUBLISH', 'm9', 'mended']
    t.equal(await run(mend, ['mixed', 'mixed:meta'], args), 1)
    const [, , , , , ...publications] = await run(read, ['mixed', 'mixed:meta'], ['e2', 100, 600_000, 'e1', 5, 'm5', 0, 0]).then(([_now, ...rest]) => rest)
    t.strictSame(publications.filter((_part, at) => at % 3 === 0), ['m6', 'm7', 'm8', 'm9'])
    for (let n = 10; n < 60; n++) t.strictSame((await newer(n)).slice(1), ['e1', n])
    const left = await client.xrange('mixed', '-', '+')
    t.ok(left.length <= 24, `${left.length} of them are left`)
    t.ok(left.length > 10)
    t.equal(left.at(-1)![0], '59-0')
  })

  t.test('reads what follows, what is retained, and notices a lost tail', async t => {
    await store('r', ['x', 'y', 'z'])
    t.match(await readAfter('r', 'e1', 2, 'm-y'), ['e1', 3, 'm-z', 0, 0, 'm-z', /^\d+$/, 'z'])
    t.strictSame(await readAfter('r', 'e1', 3, 'm-z'), ['e1', 3, 'm-z', 0, 0])
    t.equal((await readAfter('r')).length, 5 + 3 * 3)
    t.equal((await readAfter('r', 'e0', 7, 'm')).length, 5 + 3 * 3, 'another epoch')
    t.strictSame(await readAfter('r', 'e1', 4, 'm-q'), ['e1', 3, 'm-z', 1, 0], 'behind')
    t.strictSame(await readAfter('r', 'e1', 3, 'm-q'), ['e1', 3, 'm-z', 1, 0], 'another one at the head')
    t.strictSame(await readAfter('r', 'e1', 2, 'm-q'), ['e1', 3, 'm-z', 1, 0], 'another one before')
    t.match(await readAfter('r', 'e1', 4, 'm-q', 1), ['e2', 3, 'm-z', 0, 1, 'm-x'], 'goes on under another epoch')
    t.strictSame((await store('r', ['q'])).slice(1), ['e2', 4])
    t.strictSame(await readAfter('new'), ['', 0, '', 0, 0])
    t.equal(await client.exists('new', 'new:meta'), 0, 'nothing was written')
    t.strictSame((await store('new', ['x'])).slice(1), ['e1', 1])
  })

  t.test('mends only where it fits', async t => {
    await store('m', ['x'])
    const args = (mark: string) => ['e1', 1, mark, 3, 60_000, 'PUBLISH', 'm-y', 'y', 'm-z', 'z']
    t.equal(await run(mend, ['m', 'm:meta'], args('m-q')), 0)
    t.equal(await run(mend, ['m', 'm:meta'], args('m-x')), 1)
    t.equal(await run(mend, ['m', 'm:meta'], args('m-x')), 0)
    t.strictSame((await readAfter('m')).filter((_part, at) => at > 4 && at % 3 === 1), ['x', 'y', 'z'])
  })

  t.test('tells heads, and what was stored', async t => {
    await store('h', ['x', 'y'])
    t.strictSame(await run(heads, ['h:meta', 'nothing:meta'], [600_000]), ['e1', 2, 'm-y', '', 0, ''])
    await client.pexpire('h:meta', 1_000)
    await run(heads, ['h:meta'], [600_000])
    const left = await client.pttl('h:meta')
    t.ok(left > 60_000 && left <= 600_000, `a meta that is used has its time again: ${left} ms`)
    const [, ...found] = await run(find, ['h', 'h:meta'], [0, 'm-y', 'm-q'])
    t.strictSame(found, ['e1', 2, 0])
  })

  t.test('a pulse shows that a node is there, and which others are', async t => {
    const beats = (node: string) => run(scripts.pulse, ['pulsing'], [node, 9_000]).then(([now, ...rest]) => ({ now: Number(now), rest }))
    t.strictSame((await beats('a')).rest, [], 'one that has had no beat yet is not entered')
    const silent = Date.now() - 2_000
    await client.zadd('pulsing', silent, 'a', silent, 'b')
    const { now, rest } = await beats('a')
    t.strictSame(rest, ['b', String(silent), 'a', String(now)])
    await client.zadd('pulsing', silent - 10_000, 'a', silent - 10_000, 'b')
    const again = await beats('a')
    t.strictSame(again.rest.filter((_part, at) => at % 2 === 1), [String(again.now), String(again.now)], 'Redis was away')
  })

  t.test('a node that is silent is dead to the others, unless all were', async t => {
    const keys = ['alive', 'holders', 'leases', 'dead']
    const beatOf = (node: string, dead = 9_000) => run(beat, keys, [node, dead, 1])
    t.strictSame(await beatOf('a'), [1, '', 1, 'a'])
    t.strictSame(await beatOf('b'), [1, '', 2, 'a', 'b'])
    await client.hset('holders', 'l1', 'a', 'l2', 'a')
    await client.hset('leases', 'l1', 'd1', 'l2', 'd2')
    const silent = Date.now() - 10_000
    await client.zadd('alive', silent, 'a', silent, 'b')
    t.equal((await beatOf('b')).length, 5, 'Redis was away')
    await client.zadd('alive', silent, 'a')
    const first = await beatOf('b')
    const second = await beatOf('b')
    t.strictSame([...first, ...second].filter(part => /^[ld]\d/.test(String(part))).sort(), ['d1', 'd2', 'l1', 'l2'])
    t.strictSame(await beatOf('b'), [0, '', 1, 'b'])
    t.match(await beatOf('a'), [1, /^\d+$/, 2], 'who was dead is told so')
    t.strictSame(await client.hvals('holders'), ['b', 'b'])

    await client.hset('holders', 'l3', 'x')
    await client.hset('leases', 'l3', 'd3')
    t.strictSame((await beatOf('b')).slice(-2), ['l3', 'd3'], 'one that died before its first beat')
    t.equal(await run(scripts.hold, ['holders', 'leases', 'alive'], ['y', 'l4', 'd4', 0]), 1)
    t.notOk((await beatOf('b')).includes('l4'), 'one that has not had it yet')
  })
})
