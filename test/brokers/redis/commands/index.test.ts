import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { appendScript as append } from '../../../../lib/brokers/redis/commands/append.js'
import { beatScript as beat } from '../../../../lib/brokers/redis/commands/beat.js'
import { claimScript as claim } from '../../../../lib/brokers/redis/commands/claim.js'
import { endScript as end } from '../../../../lib/brokers/redis/commands/end.js'
import { enterScript as enter } from '../../../../lib/brokers/redis/commands/enter.js'
import { findScript as find } from '../../../../lib/brokers/redis/commands/find.js'
import { headsScript as heads } from '../../../../lib/brokers/redis/commands/heads.js'
import { holdScript as hold } from '../../../../lib/brokers/redis/commands/hold.js'
import { mendScript as mend } from '../../../../lib/brokers/redis/commands/mend.js'
import { pulseScript as pulse } from '../../../../lib/brokers/redis/commands/pulse.js'
import { readScript as read } from '../../../../lib/brokers/redis/commands/read.js'
import { releaseScript as release } from '../../../../lib/brokers/redis/commands/release.js'
import { scripts } from '../../../../lib/brokers/redis/commands/index.js'
import { publicationOverhead, separator } from '../../../../lib/brokers/redis/commands/lua.js'
import type { Script } from '../../../../lib/brokers/redis/commands/script.js'
import { lifetimeOf, RedisServer, skipRedis } from '../../../redis-server.js'
import { within } from '../../../waiting.js'

type Args = Array<string | number>

t.test('the scripts keep the guarantees that their callers rely on', { skip: skipRedis }, async t => {
  const client = (await RedisServer.start(t)).client(t)
  const run = (script: Script, keys: string[], args: Args) =>
    client.eval(script.text, keys.length, ...keys, ...args) as Promise<Args>
  const store = (key: string, bodies: string[], deadline = Date.now() + 60_000) =>
    run(append, [key, `${key}:meta`], [deadline, 'e1', 'PUBLISH', 3, 60_000, 1_000_000, '', 0, bodies.length, ...bodies.flatMap(body => [`m-${body}`, body])])
  const readAfter = (key: string, epoch = '', offset = 0, mark = '', fork = 0) =>
    run(read, [key, `${key}:meta`], ['e2', 3, 600_000, epoch, offset, mark, fork]).then(([_now, ...rest]) => rest)

  t.test('each script has the digest that Redis computes', async t => {
    t.equal(scripts.length, 14)
    for (const { text, sha } of scripts) {
      t.equal(sha, createHash('sha1').update(text).digest('hex'))
      t.equal(await client.script('LOAD', text), sha)
    }
  })

  t.test('append stores and announces publications in one step', async t => {
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
    const [ofStream, ofMeta] = [await lifetimeOf(client, 'a'), await lifetimeOf(client, 'a:meta')]
    t.ok(ofStream <= 60_000, `the stream expires in ${ofStream} ms`)
    t.ok(ofMeta > 60_000, `its meta expires in ${ofMeta} ms`)
  })

  t.test('append stores nothing after the deadline', async t => {
    t.equal((await store('late', ['x'], Date.now() - 1)).length, 1)
    t.equal(await client.exists('late', 'late:meta'), 0)
  })

  t.test('append returns an error for a channel that cannot be stored, and stores the others', async t => {
    await client.set('bad:meta', 'no hash')
    const keys = ['bad', 'bad:meta', 'good', 'good:meta']
    const [, text, head, ...good] = await run(append, keys, [Date.now() + 60_000, 'e1', 'PUBLISH', 3, 1, 9, '', 0, 1, 'm', 'x', 3, 60_000, 9, '', 0, 1, 'n', 'y'])
    t.match(text, /^WRONGTYPE/)
    t.equal(head, -1)
    t.strictSame(good, ['e1', 1])
    t.match(await client.xrange('good', '-', '+'), [['1-0', ['m', 'n', 't', String, 'b', 'y']]], 'each channel has its own publications')
  })

  t.test('a Redis without memory refuses a publication, and stores nothing of it', async t => {
    await client.config('SET', 'maxmemory', '1')
    t.teardown(() => client.config('SET', 'maxmemory', '0'))
    t.match(await store('oom', ['x']), [Number, /^OOM/, -1])
    t.equal(await client.exists('oom', 'oom:meta'), 0)
  })

  t.test('append starts a stream without its meta again', async t => {
    await store('evicted', ['x', 'y'])
    await client.del('evicted:meta')
    t.strictSame((await store('evicted', ['z'])).slice(1), ['e1', 1])
    t.equal(await client.xlen('evicted'), 1)
  })

  t.test('a stream keeps at most a number of bytes, but always its newest publications', async t => {
    const publish = (bodies: string[], size = 10_000, ttl = 60_000) =>
      run(append, ['b', 'b:meta'], [Date.now() + 60_000, 'e1', 'PUBLISH', size, ttl, 100_000, '', 0, bodies.length, ...bodies.flatMap(body => ['m', body])])
    const bytes = async () => {
      const entries = await client.xrange('b', '-', '+')
      return entries.reduce((sum, [, fields]) => sum + fields[fields.indexOf('b') + 1].length + publicationOverhead, 0)
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
    t.strictSame((await run(append, ['b', 'b:meta'], [Date.now() + 60_000, 'e9', 'PUBLISH', 5, 60_000, 100_000, '', 0, 1, 'm', 'x'])).slice(1), ['e1', 603])
  })

  t.test('append removes publications that are older than the ttl of their stream', async t => {
    const size = 5_000 + publicationOverhead
    const ages = [70_000, 61_000, 50_000, 1_000]
    for (const [at, age] of ages.entries()) await client.xadd('old', at + 1, 'm', 'm', 't', Date.now() - age, 'b', 'x'.repeat(5_000), 'c', (at + 1) * size)
    // The limit is 1,000,000 bytes; the last trim by age was 30 s ago.
    await client.hset('old:meta', 'e', 'e1', 'o', 4, 'm', 'm', 'c', 4 * size, 'd', 1_000_000, 'w', Date.now() - 30_000)
    t.strictSame((await run(append, ['old', 'old:meta'], [Date.now() + 60_000, 'e1', 'PUBLISH', 100, 60_000, 1_000_000, '', 0, 1, 'm', 'y'])).slice(1), ['e1', 5])
    t.strictSame((await client.xrange('old', '-', '+')).map(([id]) => id), ['3-0', '4-0', '5-0'])
  })

  t.test('publications of an older version, without sums, are read, mended and trimmed with the others', async t => {
    const older = async (from: number, to: number) => {
      for (let n = from; n <= to; n++) await client.xadd('mixed', 'MAXLEN', '~', 100, n, 'm', `m${n}`, 't', Date.now(), 'b', 'o'.repeat(5_000))
      await client.hset('mixed:meta', 'e', 'e1', 'o', to, 'm', `m${to}`)
    }
    const newer = (n: number) => run(append, ['mixed', 'mixed:meta'], [Date.now() + 60_000, 'e9', 'PUBLISH', 100, 60_000, 100_000, '', 0, 1, `m${n}`, 'n'.repeat(5_000)])
    await older(1, 5)
    t.strictSame((await newer(6)).slice(1), ['e1', 6])
    t.equal(await client.xlen('mixed'), 6, 'publications of unknown size are kept')
    await older(7, 8)
    const args = ['e1', 8, 'm8', 100, 60_000, 'PUBLISH', 'm9', 'mended']
    t.equal(await run(mend, ['mixed', 'mixed:meta'], args), 1)
    const [, , , , , ...publications] = await run(read, ['mixed', 'mixed:meta'], ['e2', 100, 600_000, 'e1', 5, 'm5', 0, 0]).then(([_now, ...rest]) => rest)
    t.strictSame(publications.filter((_part, at) => at % 3 === 0), ['m6', 'm7', 'm8', 'm9'])
    for (let n = 10; n < 60; n++) t.strictSame((await newer(n)).slice(1), ['e1', n])
    const left = await client.xrange('mixed', '-', '+')
    t.ok(left.length <= 24, `${left.length} publications are left`)
    t.ok(left.length > 10)
    t.equal(left.at(-1)![0], '59-0')
  })

  t.test('read returns the publications after a position, or all retained ones, and detects a lost tail', async t => {
    await store('r', ['x', 'y', 'z'])
    t.match(await readAfter('r', 'e1', 2, 'm-y'), ['e1', 3, 'm-z', 0, 0, 'm-z', /^\d+$/, 'z'])
    t.strictSame(await readAfter('r', 'e1', 3, 'm-z'), ['e1', 3, 'm-z', 0, 0])
    t.equal((await readAfter('r')).length, 5 + 3 * 3)
    t.equal((await readAfter('r', 'e0', 7, 'm')).length, 5 + 3 * 3, 'the position has another epoch')
    t.strictSame(await readAfter('r', 'e1', 4, 'm-q'), ['e1', 3, 'm-z', 1, 0], 'the head is before the position')
    t.strictSame(await readAfter('r', 'e1', 3, 'm-q'), ['e1', 3, 'm-z', 1, 0], 'another publication is at the head')
    t.strictSame(await readAfter('r', 'e1', 2, 'm-q'), ['e1', 3, 'm-z', 1, 0], 'another publication is before the head')
    t.match(await readAfter('r', 'e1', 4, 'm-q', 1), ['e2', 3, 'm-z', 0, 1, 'm-x'], 'the channel continues under another epoch')
    t.strictSame((await store('r', ['q'])).slice(1), ['e2', 4])
    t.strictSame(await readAfter('new'), ['', 0, '', 0, 0])
    t.equal(await client.exists('new', 'new:meta'), 0, 'read writes nothing')
    t.strictSame((await store('new', ['x'])).slice(1), ['e1', 1])
  })

  t.test('mend stores publications only after the head that it is given', async t => {
    await store('m', ['x'])
    const args = (mark: string) => ['e1', 1, mark, 3, 60_000, 'PUBLISH', 'm-y', 'y', 'm-z', 'z']
    t.equal(await run(mend, ['m', 'm:meta'], args('m-q')), 0)
    t.equal(await run(mend, ['m', 'm:meta'], args('m-x')), 1)
    t.equal(await run(mend, ['m', 'm:meta'], args('m-x')), 0)
    t.strictSame((await readAfter('m')).filter((_part, at) => at > 4 && at % 3 === 1), ['x', 'y', 'z'])
  })

  t.test('heads returns the heads of channels, and find returns the offsets of stored publications', async t => {
    await store('h', ['x', 'y'])
    t.strictSame(await run(heads, ['h:meta', 'nothing:meta'], [600_000]), ['e1', 2, 'm-y', '', 0, ''])
    await client.pexpire('h:meta', 1_000)
    await run(heads, ['h:meta'], [600_000])
    const left = await lifetimeOf(client, 'h:meta')
    t.ok(left > 60_000 && left <= 600_000, `heads renews the expiry of a meta: ${left} ms`)
    const [, ...found] = await run(find, ['h', 'h:meta'], [0, 'm-y', 'm-q'])
    t.strictSame(found, ['e1', 2, 0])
  })

  t.test('pulse records that a node is alive, and returns the time of each node', async t => {
    const beats = (node: string) => run(pulse, ['pulsing'], [node, 9_000]).then(([now, ...rest]) => ({ now: Number(now), rest }))
    t.strictSame((await beats('a')).rest, [], 'a node without a beat is not entered')
    const silent = Date.now() - 2_000
    await client.zadd('pulsing', silent, 'a', silent, 'b')
    const { now, rest } = await beats('a')
    t.strictSame(rest, ['b', String(silent), 'a', String(now)])
    await client.zadd('pulsing', silent - 10_000, 'a', silent - 10_000, 'b')
    const again = await beats('a')
    t.strictSame(again.rest.filter((_part, at) => at % 2 === 1), [String(again.now), String(again.now)], 'no node counts as silent')
  })

  t.test('a silent node counts as dead, unless all nodes were silent', async t => {
    const keys = ['alive', 'holders', 'leases', 'dead']
    const beatOf = (node: string, dead = 9_000) => run(beat, keys, [node, dead, 1])
    t.strictSame(await beatOf('a'), [1, '', 1, 'a'])
    t.strictSame(await beatOf('b'), [1, '', 2, 'a', 'b'])
    await client.hset('holders', 'l1', 'a', 'l2', 'a')
    await client.hset('leases', 'l1', 'd1', 'l2', 'd2')
    const silent = Date.now() - 10_000
    await client.zadd('alive', silent, 'a', silent, 'b')
    t.equal((await beatOf('b')).length, 5, 'no node counts as dead when Redis was away')
    await client.zadd('alive', Date.now() - 6_000, 'a', silent, 'b')
    t.equal((await beatOf('a')).length, 5, 'nor when it was away for more than the time between two beats')
    await client.zadd('alive', silent, 'a')
    const first = await beatOf('b')
    const second = await beatOf('b')
    t.strictSame([...first, ...second].filter(part => /^[ld]\d/.test(String(part))).sort(), ['d1', 'd2', 'l1', 'l2'])
    t.strictSame(await beatOf('b'), [0, '', 1, 'b'])
    t.match(await beatOf('a'), [1, /^\d+$/, 2], 'a node that counted as dead gets the time of its death')
    t.strictSame(await client.hvals('holders'), ['b', 'b'])

    await client.hset('holders', 'l3', 'x')
    await client.hset('leases', 'l3', 'd3')
    t.strictSame((await beatOf('b')).slice(-2), ['l3', 'd3'], 'the lease of a node that died before its first beat')
    t.equal(await run(hold, ['holders', 'leases', 'alive'], ['y', 'l4', 'd4', 0]), 1)
    t.notOk((await beatOf('b')).includes('l4'), 'the node has not had its first beat yet')
  })

  /** Asserts that a key has just got an expiry of `ms`. */
  const lasts = async (t: Test, key: string, ms: number, message = key) =>
    isBetween(t, await lifetimeOf(client, key), ms - 10_000, ms, message)

  t.test('append, read, mend, enter and claim set the given expiry on each key that they write', async t => {
    await store('e', ['x'])
    await lasts(t, 'e', 60_000)
    await lasts(t, 'e:meta', 86_400_000)
    await readAfter('gone', 'e0', 7, 'm')
    await lasts(t, 'gone:meta', 600_000, 'a channel that continues under another epoch')
    await client.pexpire('e:meta', 1_000)
    await readAfter('e')
    await lasts(t, 'e:meta', 600_000, 'read renews the expiry of a meta')
    await client.del('e')
    t.equal(await run(mend, ['e', 'e:meta'], ['e1', 1, 'm-x', 3, 60_000, 'PUBLISH', 'm-y', 'y']), 1)
    await lasts(t, 'e', 60_000, 'mend sets the expiry of a stream that was gone')
    await run(enter, ['e:presence'], ['c1', 'a', 3, 60_000, 0, 'a'])
    await run(claim, ['e:claims'], ['k', 60_000, 10])
    await lasts(t, 'e:presence', 60_000)
    await lasts(t, 'e:claims', 60_000)
    await client.pexpire('e:presence', 1_000)
    await run(enter, ['e:presence'], ['c1', 'a', 3, 60_000, 0, 'a'])
    await lasts(t, 'e:presence', 60_000, 'enter renews the expiry')
  })

  t.test('a stream keeps its number of publications and at most one more node of Redis, with and without batches', async t => {
    const publish = (key: string, count: number) =>
      run(append, [key, `${key}:meta`], [Date.now() + 60_000, 'e1', 'PUBLISH', 10, 60_000, 1_000_000, '', 0, count, ...Array(count).fill(['m', 'x']).flat()])
    for (let n = 0; n < 500; n++) await publish('single', 1)
    await publish('batch', 500)
    // Redis drops whole nodes, of 100 entries each.
    for (const key of ['single', 'batch']) isBetween(t, await client.xlen(key), 10, 110, key)
  })

  t.test('a stream keeps its number of publications and none more when Redis can drop single entries', async t => {
    await client.config('SET', 'stream-node-max-entries', '1')
    t.teardown(() => client.config('SET', 'stream-node-max-entries', '100'))
    const publish = (key: string, count: number) =>
      run(append, [key, `${key}:meta`], [Date.now() + 60_000, 'e1', 'PUBLISH', 10, 60_000, 1_000_000, '', 0, count, ...Array(count).fill(['m', 'x']).flat()])
    for (let n = 0; n < 12; n++) await publish('exact', 1)
    await publish('exact batch', 12)
    await publish('exact mended', 8)
    await run(mend, ['exact mended', 'exact mended:meta'], ['e1', 8, 'm', 10, 60_000, 'PUBLISH', ...Array(4).fill(['m', 'x']).flat()])
    for (const key of ['exact', 'exact batch', 'exact mended']) t.equal(await client.xlen(key), 10, key)
  })

  t.test('a stream whose size was reduced is trimmed with the next publication, even one that trims by bytes and age', async t => {
    const publish = (size: number, count: number) =>
      run(append, ['less', 'less:meta'], [Date.now() + 60_000, 'e1', 'PUBLISH', size, 60_000, 1_000_000, '', 0, count, ...Array(count).fill(['m', 'x']).flat()])
    await publish(1_000, 500)
    await client.hset('less:meta', 'w', 0)
    await publish(10, 1)
    isBetween(t, await client.xlen('less'), 10, 110)
  })

  t.test('known limits are stored with the channel and replace older ones; default limits are replaced by stored ones', async t => {
    const publish = (limits: number[], isDefault: number, count = 1) =>
      run(append, ['kept', 'kept:meta'], [Date.now() + 60_000, 'e1', 'PUBLISH', ...limits, '', isDefault, count, ...Array(count).fill(['m', 'x']).flat()])
    const known = [500, 90_000, 1_000_000]
    const unknown = [3, 1_000, 1_000]
    t.match(await publish(unknown, 1), [Number, 'e1', 1])
    t.equal(await client.hget('kept:meta', 'r'), null, 'defaults are not kept')
    await publish(known, 0, 300)
    t.equal(await client.hget('kept:meta', 'r'), '500 90000 1000000')
    await publish(unknown, 1)
    t.equal(await client.xlen('kept'), 302)
    t.ok(await lifetimeOf(client, 'kept') > 80_000)
    await publish(unknown, 0)
    t.equal(await client.hget('kept:meta', 'r'), '3 1000 1000')
    t.ok(await client.xlen('kept') < 302)
    t.ok(await lifetimeOf(client, 'kept') <= 1_000)
  })

  t.test('append trims a stream by bytes and age only when that is due', async t => {
    const dueOf = () => client.hmget('due:meta', 'd', 'w')
    await store('due', ['x'])
    const [bytes, time] = await dueOf()
    isBetween(t, Number(bytes), 100_000, 1_100_000)
    isBetween(t, Number(time) - Date.now(), 20_000, 31_000, 'half its ttl from now')
    await store('due', ['y'])
    t.strictSame(await dueOf(), [bytes, time])
  })

  t.test('append and mend store publications that may not be announced, and return the reason', async t => {
    await client.call('ACL', 'SETUSER', 'mute', 'on', '>x', '~*', 'resetchannels', '+@all')
    const mute = client.duplicate({ username: 'mute', password: 'x' })
    t.teardown(() => mute.disconnect())
    const args = [Date.now() + 60_000, 'e1', 'PUBLISH', 3, 60_000, 1_000_000, '', 0, 1, 'm1', 'x']
    const [, epoch, head, reason] = await mute.eval(append.text, 2, 'mute', 'mute:meta', ...args) as Args
    t.strictSame([epoch, head], ['e1', 1])
    t.match(reason, /can't publish/)
    t.match(await mute.eval(mend.text, 2, 'mute', 'mute:meta', 'e1', 1, 'm1', 3, 60_000, 'PUBLISH', 'm2', 'y'), /can't publish/)
    t.equal(await client.xlen('mute'), 2)
    t.equal((await store('mute', ['z'])).length, 3, 'a user that may announce gets no reason')
  })

  t.test('read starts a channel that has lost its meta again, under another epoch, and deletes its old stream', async t => {
    await store('left', ['x'])
    await client.del('left:meta')
    t.strictSame(await readAfter('left', 'e1', 1, 'm-x'), ['e2', 0, '', 0, 1])
    t.equal(await client.exists('left'), 0)
    t.strictSame(await readAfter('left'), ['e2', 0, '', 0, 1], 'each later reader learns of it, too')
  })

  t.test('read stores the limits of its channel, unless the channel has no publication', async t => {
    const reading = (key: string, limits: string) => run(read, [key, `${key}:meta`], ['e2', 3, 600_000, '', 0, '', 0, 1, limits])
    await store('limited', ['x'])
    for (const limits of ['5 60000 9', '6 60000 9']) {
      await reading('limited', limits)
      t.equal(await client.hget('limited:meta', 'r'), limits)
    }
    await reading('bare', '5 60000 9')
    t.strictSame(await client.hmget('bare:meta', 'e', 'r'), ['e2', null])
  })

  t.test('read reports to each later reader that a channel continued under another epoch', async t => {
    await store('forked', ['x', 'y'])
    t.match(await readAfter('forked', 'e1', 3, 'm-q', 1), ['e2', 2, 'm-y', 0, 1])
    t.match(await readAfter('forked'), ['e2', 2, 'm-y', 0, 1])
    t.match(await readAfter('forked', 'e2', 2, 'm-y'), ['e2', 2, 'm-y', 0, 1])
  })

  t.test('read returns only the newest publications of a stream that exceeds its size', async t => {
    await store('more', ['v', 'w', 'x', 'y', 'z'])
    t.equal(await client.xlen('more'), 5)
    t.strictSame((await readAfter('more')).filter((_part, at) => at > 4 && at % 3 === 1), ['x', 'y', 'z'])
  })

  t.test('mend stores a tail only in its own epoch and after its own head, and counts and announces it', async t => {
    const subscriber = client.duplicate()
    t.teardown(() => subscriber.disconnect())
    await store('tail', ['x'])
    const args = (epoch: string, head: number) => [epoch, head, 'm-x', 3, 60_000, 'PUBLISH', 'm-y', 'y', 'm-z', 'z']
    t.equal(await run(mend, ['tail', 'tail:meta'], args('e0', 1)), 0)
    t.equal(await run(mend, ['tail', 'tail:meta'], args('e1', 2)), 0)
    t.strictSame(await client.hmget('tail:meta', 'o', 'm'), ['1', 'm-x'])
    await subscriber.subscribe('tail')
    const heard = new Promise<string>(resolve => subscriber.once('message', (_channel, message) => resolve(message)))
    t.equal(await run(mend, ['tail', 'tail:meta'], args('e1', 1)), 1)
    const [first, ...parts] = (await within(heard, 'the announcement of the mended publications')).split(separator)
    t.match([first, ...parts], [/^e1 2 \d+$/, 'm-y y', 'm-z z'])
    t.strictSame(await client.hmget('tail:meta', 'o', 'm', 'c'), ['3', 'm-z', String(3 * (1 + publicationOverhead))])
    const sums = (await client.xrange('tail', '-', '+')).map(([, fields]) => Number(fields[7]))
    t.strictSame(sums, [1, 2, 3].map(count => count * (1 + publicationOverhead)))
    t.strictSame(await readAfter('tail', 'e1', 3, 'm-z'), ['e1', 3, 'm-z', 0, 0])
  })

  t.test('a channel with a TTL of its own for its meta keeps it, after a publication with defaults and a read of its head too', async t => {
    const publish = (...limits: Array<string | number>) => run(append, ['own', 'own:meta'], [Date.now() + 60_000, 'e1', 'PUBLISH', ...limits, 1, 'm', 'x'])
    await publish(10, 10_000, 1_000, 60_000, 0)
    t.equal(await client.hget('own:meta', 'r'), '10 10000 1000 60000')
    await lasts(t, 'own:meta', 60_000)
    await publish(100, 300_000, 9_000, '', 1)
    await lasts(t, 'own:meta', 60_000)
    await lasts(t, 'own', 10_000)
    await client.pexpire('own:meta', 20_000)
    await run(heads, ['own:meta'], [86_400_000])
    await lasts(t, 'own:meta', 60_000)
  })

  t.test('heads renews the expiry of a meta only once half of it is over', async t => {
    await store('half', ['x'])
    await client.pexpire('half:meta', 400_000)
    await run(heads, ['half:meta'], [600_000])
    await lasts(t, 'half:meta', 400_000)
    await client.pexpire('half:meta', 290_000)
    await run(heads, ['half:meta'], [600_000])
    await lasts(t, 'half:meta', 600_000)
  })

  t.test('find returns -1 for a publication that may have been evicted, and 0 for one that was not stored', async t => {
    await store('f', ['x', 'y'])
    await client.xdel('f', '1-0')
    const [[, fields]] = await client.xrange('f', '-', '+')
    const storedAt = Number(fields[3])
    const find1 = async (since: number) => (await run(find, ['f', 'f:meta'], [since, 'm-x', 'm-y'])).slice(2)
    t.strictSame(await find1(storedAt), [-1, 2], 'a publication of the same millisecond may have been evicted')
    t.strictSame(await find1(storedAt + 1), [0, 2])
  })

  /** Keys of nodes for one test, and functions that run the scripts with them. */
  const cluster = (name: string) => {
    const [alive, holders, leases, dead] = ['alive', 'holders', 'leases', 'dead'].map(key => `${name}:${key}`)
    const beatOf = async (node: string, most = 1, isInDoubt = 0) => {
      const answer = await run(beat, [alive, holders, leases, dead], [node, 9_000, most, isInDoubt])
      const [isNew, died, count, ...rest] = answer as [number, string, number, ...string[]]
      return { isNew, died, alive: rest.slice(0, count).sort(), leases: rest.slice(count) }
    }
    const holdOf = (node: string, lease: string, data = '{}', mustBeHeld = 0) => run(hold, [holders, leases, alive], [node, lease, data, mustBeHeld])
    const releaseOf = (node: string, lease: string) => run(release, [holders, leases], [node, lease])
    return { alive, holders, leases, dead, beatOf, holdOf, releaseOf }
  }

  t.test('beat returns at most the requested number of leases of dead nodes, and the others with the next beats', async t => {
    const { alive, beatOf, holdOf } = cluster('c1')
    for (const lease of ['l1', 'l2', 'l3']) await holdOf('a', lease)
    await beatOf('b')
    await client.zadd(alive, 0, 'a')
    t.strictSame((await beatOf('b', 0)).leases, [], 'a node that requests no lease gets none')
    t.equal((await beatOf('b', 2)).leases.length, 2 * 2)
    t.equal((await beatOf('b', 2)).leases.length, 2)
    t.strictSame((await beatOf('b', 2)).leases, [])
  })

  t.test('beat returns all leases that a node in doubt holds, but none of another node that is alive, unless it requests none', async t => {
    const { beatOf, holdOf } = cluster('c2')
    await holdOf('a', 'l1', 'd1')
    await holdOf('b', 'l2', 'd2')
    t.strictSame((await beatOf('a', 1, 0)).leases, [])
    t.strictSame((await beatOf('a', 1, 1)).leases, ['l1', 'd1'])
    t.strictSame((await beatOf('a', 0, 1)).leases, [])
  })

  t.test('beat sets a last beat that is in the future, as after a failover, to the current time', async t => {
    const { alive, beatOf } = cluster('c3')
    await client.zadd(alive, Date.now() + 3_600_000, 'ahead')
    await beatOf('a')
    isBetween(t, Number(await client.zscore(alive, 'ahead')) - Date.now(), -5_000, 100)
  })

  t.test('a dead node is remembered for an hour, and then forgotten with the next death', async t => {
    const { alive, dead, beatOf } = cluster('c4')
    const hour = 3_600_000
    await beatOf('a')
    await client.zadd(dead, Date.now() - hour - 1_000, 'long ago')
    await client.zadd(dead, Date.now() - hour + 60_000, 'lately')
    await client.zadd(alive, 0, 'b')
    await beatOf('a')
    t.strictSame((await client.zrange(dead, 0, '-1')).sort(), ['b', 'lately'])
    await lasts(t, dead, hour)
  })

  t.test('hold does not count as a beat, and stores the data of the lease', async t => {
    const { alive, leases, holdOf } = cluster('c5')
    const silent = Date.now() - 5_000
    await client.zadd(alive, silent, 'a')
    t.equal(await holdOf('a', 'l1', 'd1'), 1)
    t.equal(await client.zscore(alive, 'a'), String(silent))
    t.equal(await client.hget(leases, 'l1'), 'd1')
    t.equal(await holdOf('a', 'l1', 'd2'), 1, 'a node can hold its own lease again')
    t.equal(await client.hget(leases, 'l1'), 'd2')
    t.equal(await holdOf('b', 'l1', 'd3'), 0)
    t.equal(await client.hget(leases, 'l1'), 'd2')
    t.equal(await holdOf('a', 'l1', 'd2', 1), 1, 'a node keeps a lease that it must hold already')
    t.equal(await holdOf('b', 'l2', 'd', 1), 0, 'a lease without a holder is over for a node that must hold it already')
  })

  t.test('only the holder releases a lease, and a released lease leaves no key', async t => {
    const { holders, leases, holdOf, releaseOf } = cluster('c6')
    await holdOf('a', 'l1')
    t.equal(await releaseOf('b', 'l1'), 0)
    t.equal(await client.hget(holders, 'l1'), 'a')
    t.equal(await releaseOf('a', 'l1'), 1)
    t.equal(await client.exists(holders, leases), 0)
    t.equal(await releaseOf('a', 'l1'), 0)
  })

  t.test('end does not enter a node that Redis does not know', async t => {
    const { alive, beatOf } = cluster('c7')
    await run(end, [alive], ['a'])
    t.equal(await client.exists(alive), 0)
    await beatOf('a')
    await run(end, [alive], ['a'])
    t.equal(await client.zscore(alive, 'a'), '0')
  })

  t.test('a connection that is already entered does not count against its own limit', async t => {
    const enterOf = (connection: string, ...[silent, alive]: string[][]) =>
      run(enter, ['own:presence'], [connection, 'a', 1, 60_000, silent.length, ...silent, ...alive])
    t.strictSame(await enterOf('c1', [], ['a']), [])
    t.strictSame(await enterOf('c1', [], ['a']), [])
    t.strictSame(await enterOf('c2', [], ['a']), ['a'])
  })

  t.test('enter counts the connections of live nodes, and those of unknown nodes that have just started, and removes the expired ones', async t => {
    const key = 'counted:presence'
    const now = Date.now()
    const entries = { c1: `live ${now - 30_000}`, c2: `silent ${now}`, c3: `new ${now - 5_000}`, c4: `unknown ${now - 11_000}`, c5: `live ${now - 61_000}` }
    await client.hset(key, entries)
    const enterOf = (limit: number) => run(enter, [key], ['c6', 'live', limit, 60_000, 1, 'silent', 'live'])
    t.strictSame((await enterOf(2)).sort(), ['live', 'new'])
    t.strictSame((await client.hkeys(key)).sort(), ['c1', 'c2', 'c3', 'c4'])
    t.strictSame(await enterOf(3), [])
    t.strictSame((await client.hkeys(key)).sort(), ['c1', 'c2', 'c3', 'c4', 'c6'])
  })

  t.test('a claim succeeds once until it has expired, and removes the expired claims of its holder and those beyond the maximum', async t => {
    const claims = 'over:claims'
    await client.zadd(claims, Date.now() - 1, 'over', Date.now() + 60_000, 'lasts')
    t.equal(await run(claim, [claims], ['lasts', 60_000, 10]), 0)
    t.equal(await run(claim, [claims], ['new', 60_000, 10]), 1)
    t.strictSame((await client.zrange(claims, 0, '-1')).sort(), ['lasts', 'new'])
    await client.zadd(claims, Date.now() - 1, 'new')
    t.equal(await run(claim, [claims], ['new', 1_000, 10]), 1, 'an expired claim can be made again')
    await lasts(t, claims, 60_000, 'a short claim leaves longer ones their time')
    for (let n = 1; n <= 5; n++) await run(claim, ['some:claims'], [`k${n}`, 60_000 + n, 3])
    t.strictSame(await client.zrange('some:claims', 0, '-1'), ['k3', 'k4', 'k5'], 'only the newest claims of a holder are kept')
  })
})

function isBetween (t: Test, value: number, least: number, most: number, message = ''): void {
  t.ok(value >= least && value <= most, `${message} ${value} is between ${least} and ${most}`)
}
