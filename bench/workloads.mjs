const all = ['ours', 'by-hand', 'socket-io']

const notifications = (kind, port, user, extra = {}) => ({
  port, kind, path: kind === 'socket-io' ? `/socket.io/?EIO=4&transport=websocket&user=${user}` : `/ws/notifications/${user}`, ...extra
})
const chat = (kind, port, id, extra = {}) => ({
  port, kind, path: kind === 'socket-io' ? `/socket.io/?EIO=4&transport=websocket&chat=${id}` : `/ws/w/a/${id}/${id}`, ...extra
})
const times = (count, make) => Array.from({ length: count }, (_, n) => make(n))

/** Share of a core that the clients used during a run, in percent. At 100 the clients limit the measurement. */
const clientCpu = (before, after, { wall }) => (after.cpu.user + after.cpu.system - before.cpu.user - before.cpu.system) / wall / 10

/**
 * Number of parts of a measurement that takes seconds. Between them the other servers have their turn, so all of them meet the same phases
 * of a machine whose speed changes.
 */
const parts = 10

const sumOf = values => values.reduce((sum, value) => sum + value, 0)

/** Joins the runs of all parts into one. */
const joined = runs => ({
  ...Object.fromEntries(['deliveries', 'cpu', 'wall', 'heap'].map(name => [name, sumOf(runs.map(run => run[name]))])),
  countersBefore: runs[0].countersBefore,
  counters: runs.at(-1).counters
})

/**
 * Runs a job against connected clients, after a warm-up. `args`: of each part. `figures` takes the joined run, and the clients' state
 * before and after it.
 */
const job = (name, connections, args, warmUp, figures) => async function * ({ kind, port, server, client }) {
  await client.call({ call: 'connect', list: connections(kind, port) })
  await server.call({ call: 'run', job: name, args: warmUp })
  const before = await client.call({ call: 'state' })
  const runs = []
  for (let part = 0; part < parts; part++) {
    yield
    runs.push(await server.call({ call: 'run', job: name, args }))
  }
  return figures(joined(runs), before, await client.call({ call: 'state' }))
}

/** Calls of `write` per delivery, for a server that counts them. */
const writesOf = ({ counters, countersBefore, deliveries }) =>
  counters.writes === undefined ? {} : { writes: (counters.writes - countersBefore.writes) / deliveries }

const costs = (run, before, after) => ({
  'cpu µs': run.cpu / run.deliveries,
  'deliveries/s': run.deliveries / run.wall * 1000,
  ...writesOf(run),
  'client cpu %': clientCpu(before, after, run)
})

/** Exact if no garbage is collected during the run. */
const heapBytes = run => ({ 'heap bytes': run.heap / run.deliveries, ...writesOf(run) })

const broadcast = (clients, perTurn, rounds, figures = costs) => job(
  'broadcast', (kind, port) => times(clients, n => notifications(kind, port, `u${n}`)),
  { rounds: Math.ceil(rounds / parts), perTurn, clients }, { rounds: 10, perTurn, clients }, figures)

/** Warms up code and pools, whose growth is not a cost of each connection. */
const warmUp = async ({ kind, port, server, client }) => {
  for (let round = 0; round < 5; round++) {
    await client.call({ call: 'connect', list: times(1_000, n => notifications(kind, port, `w${n}`)) })
    await client.call({ call: 'cut' })
    for (;;) {
      const { connections } = await server.call({ call: 'counters' })
      if (connections === 0) break
    }
  }
}

const used = ({ heapUsed, external }) => heapUsed + external

const idle = async ({ kind, port, server, client }) => {
  await client.call({ call: 'connect', list: times(500, n => notifications(kind, port, `w${n}`)) })
  const before = await server.call({ call: 'memory' })
  const connections = 5_000
  await client.call({ call: 'connect', list: times(connections, n => notifications(kind, port, `u${n}`)) })
  const after = await server.call({ call: 'memory' })
  return {
    'bytes each': (used(after) - used(before)) / connections,
    'rss bytes each': (after.rss - before.rss) / connections
  }
}

const handshakes = async function * ({ kind, port, server, client }) {
  await warmUp({ kind, port, server, client })
  await server.call({ call: 'memory' })
  const connections = 5_000
  const list = times(connections, n => notifications(kind, port, `u${n}`))
  let cpu = 0
  for (let part = 0; part < parts; part++) {
    yield
    const before = await server.call({ call: 'cpu' })
    await client.call({ call: 'connect', list: list.slice(part * connections / parts, (part + 1) * connections / parts) })
    const after = await server.call({ call: 'cpu' })
    cpu += after.user + after.system - before.user - before.system
  }
  return { 'cpu µs': cpu / connections }
}

/** Returns the clients' state when every token of a run has arrived. Throws if some are missing: they would be the slowest. */
const allTokens = async (kind, client, { deliveries, counters }) => {
  const state = await client.call({ call: 'tokens', count: deliveries })
  if (state.samples !== deliveries) throw new Error(`${kind}: ${state.samples} of ${deliveries} tokens came. ${JSON.stringify(counters)}`)
  return state
}

const mixed = async ({ kind, port, server, client }) => {
  await client.call({ call: 'connect', list: times(5_000, n => notifications(kind, port, `u${n}`)) })
  await client.call({ call: 'connect', list: times(100, n => chat(kind, port, `c${n}`, { isTimed: true })) })
  const run = await server.call({ call: 'run', job: 'mixed', args: { chats: 100, everyMs: 50, broadcastEveryMs: 500, seconds: 10 } })
  const { latencyP50, latencyP99 } = await allTokens(kind, client, run)
  return {
    'token p99 ms': latencyP99,
    'token p50 ms': latencyP50,
    'loop delay p99 ms': run.delayP99,
    'loop delay max ms': run.delayMax,
    tokens: run.deliveries
  }
}

/** Sends 50 tokens per second to each of 500 chats. `through`: `sender` for `chat.send`, or `answer` for `run.reply`. */
const stream = (through, burst) => async function * ({ kind, port, server, client }) {
  const args = { through, chats: 500, perSecond: 50, burst }
  await client.call({ call: 'connect', list: times(args.chats, n => chat(kind, port, `c${n}`, { isTimed: true })) })
  const during = seconds => server.call({ call: 'run', job: 'stream', args: { ...args, seconds } })
  const before = await allTokens(kind, client, await during(2))
  await client.call({ call: 'forget' })
  const runs = []
  let state
  for (let part = 0; part < parts; part++) {
    yield
    runs.push(await during(1))
    state = await allTokens(kind, client, joined(runs))
  }
  const run = joined(runs)
  return {
    'cpu µs': run.cpu / run.deliveries,
    'token p99 ms': state.latencyP99,
    'token p50 ms': state.latencyP50,
    tokens: run.deliveries,
    'client cpu %': clientCpu(before, state, run)
  }
}

/** Stops 200 answers, one every 10 ms, while 200 other chats get tokens. Those before them warm the server up. */
const stops = async ({ kind, port, server, client }) => {
  const count = 200
  const before = 500
  await client.call({ call: 'connect', list: times(count, n => chat(kind, port, `c${n}`)) })
  await client.call({ call: 'connect', list: times(before + count, n => chat(kind, port, `s${n}`)) })
  await server.call({ call: 'stoppable', args: { answers: before + count } })
  const writing = server.call({ call: 'run', job: 'stream', args: { through: 'answer', chats: count, perSecond: 50, burst: 1, seconds: 9 } })
  const sent = await client.call({ call: 'stop', args: { count: before + count, every: 10 } })
  await writing
  const aborted = await server.call({ call: 'aborted' })
  const latencies = sent.map((at, n) => aborted[n] - at).slice(before).toSorted((a, b) => a - b)
  if (latencies.length !== count || !latencies.every(Number.isFinite)) throw new Error(`${kind}: an answer was not stopped`)
  return { 'stop p50 ms': latencies[count / 2], 'stop p99 ms': latencies[Math.floor(count * 0.99)] }
}

const stopped = async ({ kind, port, server, client }) => {
  await client.call({ call: 'connect', list: times(1_000, n => notifications(kind, port, `u${n}`)) })
  const before = await server.call({ call: 'memory' })
  await client.call({ call: 'pause' })
  await server.call({ call: 'run', job: 'flood', args: { seconds: 60, perSecond: 320, burst: 20 } })
  const after = await server.call({ call: 'memory' })
  return { 'growth MiB': (after.rss - before.rss) / 1024 / 1024 }
}

const storm = async ({ kind, port, server, client }) => {
  const connections = 5_000
  const list = times(connections, n => notifications(kind, port, `u${n}`))
  await client.call({ call: 'connect', list })
  const positions = await client.call({ call: 'cut' })
  const behind = 20
  const running = server.call({ call: 'run', job: 'idle', args: { publishBefore: behind } })
  let slowest = 0
  const asked = { answers: 0, isOver: false }
  const asking = (async () => {
    while (!asked.isOver) {
      const at = performance.now()
      const response = await fetch(`http://127.0.0.1:${port}/alive`)
      if (await response.text() !== 'yes') throw new Error('HTTP was not answered')
      slowest = Math.max(slowest, performance.now() - at)
      asked.answers++
    }
  })()
  // When the server fails, so does each request to it; the run then fails with the server's error.
  asking.catch(() => {})
  const delivered = client.first('delivered')
  client.send({ call: 'expect', expect: connections * behind })
  await client.call({ call: 'connect', list: list.map((one, n) => ({ ...one, path: `${one.path}?since=${positions[n].position}` })) })
  await delivered
  asked.isOver = true
  await asking
  const { delayP99, delayMax, wall } = await running
  const { recovered, received } = await client.call({ call: 'state' })
  return { recovered, received, 'loop delay p99 ms': delayP99, 'loop delay max ms': delayMax, 'slowest HTTP ms': slowest, 'HTTP answers': asked.answers, 'took ms': wall }
}

/** Options with which no publication is evicted while it is counted. */
const roomy = { ours: { history: { bytes: 1024 * 1024 * 1024, size: 1_000 } } }

/** Measures the cost of users who are not connected: one publication to each, then as many more to the first thousand. */
const offline = channels => async ({ server }) => {
  const start = await server.call({ call: 'memory' })
  const first = await server.call({ call: 'run', job: 'unheard', args: { users: channels, each: 1 } })
  const withChannels = await server.call({ call: 'memory' })
  const second = await server.call({ call: 'run', job: 'unheard', args: { users: 1_000, each: channels / 1_000 } })
  const withMessages = await server.call({ call: 'memory' })
  const perMessage = (used(withMessages) - used(withChannels)) / channels
  return {
    'bytes per channel': (used(withChannels) - used(start)) / channels - perMessage,
    'bytes per message of 200': perMessage,
    'cpu µs per first publish': first.cpu / channels,
    'cpu µs per publish': second.cpu / channels
  }
}

/** Page number `n`: a bell, three chats and two of 100 boards. Returns its connections; `positions`, of its connections, to resume. */
function page (kind, port, n, positions = []) {
  const user = `u${n}`
  const chats = ['c0', 'c1', 'c2']
  const boards = [`b${n % 100}`, `b${(n + 37) % 100}`]
  if (kind === 'socket-io') return [{ port, kind, path: `/socket.io/?EIO=4&transport=websocket&user=${user}&chats=${chats}&boards=${boards}` }]
  const bell = (channels, of = user) => ({ path: `/ws/notifications/${of}`, ...channels.length > 0 && { subscribe: channels.map(channel => ({ channel })) } })
  const boardNames = boards.map(id => `board:${id}`)
  const connections = kind === 'ours'
    ? [bell([...chats.map(id => `chat:w/a/${id}/${user}`), ...boardNames])]
    : [
        bell([]),
        ...chats.map(id => ({ path: `/ws/w/a/${id}/${user}` })),
        // As other users, so that messages to the bell do not arrive on them.
        ...boardNames.map((name, at) => bell([name], `${user}-${at}`))
      ]
  return connections.map(({ path, subscribe }, at) => {
    const { position, channels } = positions[at] ?? {}
    return {
      port,
      kind: 'ours',
      path: position === undefined ? path : `${path}?since=${position}`,
      ...subscribe && { subscribe: subscribe.map(({ channel }) => ({ channel, since: channels?.[channel] })) }
    }
  })
}

/** Measures pages with several channels: on one connection, with a connection each, and with rooms. */
const pages = async ({ kind, port, server, client }) => {
  const count = 500
  const listOf = positions => {
    const perPage = page(kind, port, 0).length
    return times(count, n => page(kind, port, n, positions.slice(n * perPage, (n + 1) * perPage))).flat()
  }
  const cut = async () => {
    const positions = await client.call({ call: 'cut' })
    while ((await server.call({ call: 'counters' })).connections > 0);
    return positions
  }
  const cpuOf = async list => {
    const before = await server.call({ call: 'cpu' })
    await client.call({ call: 'connect', list })
    const after = await server.call({ call: 'cpu' })
    return (after.user + after.system - before.user - before.system) / count
  }
  for (let round = 0; round < 5; round++) {
    await client.call({ call: 'connect', list: listOf([]) })
    await cut()
  }
  const empty = await server.call({ call: 'memory' })
  const connecting = await cpuOf(listOf([]))
  const idle = await server.call({ call: 'memory' })
  const resuming = await cpuOf(listOf(await cut()))
  const { recovered } = await client.call({ call: 'state' })
  await server.call({ call: 'run', job: 'pages', args: { pages: count, rounds: 5 } })
  const run = await server.call({ call: 'run', job: 'pages', args: { pages: count, rounds: 40 } })
  return {
    'bytes each': (used(idle) - used(empty)) / count,
    'connect cpu µs': connecting,
    'resume cpu µs': resuming,
    'cpu µs': run.cpu / run.deliveries,
    handshakes: listOf([]).length / count,
    recovered
  }
}

/** Measures 100 connections with 100 of 1,000 channels each. */
const manyChannels = async ({ kind, port, server, client }) => {
  const clients = 100
  const boardsOf = n => times(100, at => `b${(n * 100 + at) % 1_000}`)
  const listOf = (prefix, withBoards) => times(clients, n => {
    const one = notifications(kind, port, `${prefix}${n}`)
    if (!withBoards) return one
    if (kind === 'socket-io') return { ...one, path: `${one.path}&boards=${boardsOf(n)}` }
    return { ...one, subscribe: boardsOf(n).map(id => ({ channel: `board:${id}` })) }
  })
  await warmUp({ kind, port, server, client })
  await client.call({ call: 'connect', list: listOf('warm', true) })
  await client.call({ call: 'cut' })
  while ((await server.call({ call: 'counters' })).connections > 0);
  const start = await server.call({ call: 'memory' })
  await client.call({ call: 'connect', list: listOf('plain', false) })
  const plain = await server.call({ call: 'memory' })
  await client.call({ call: 'connect', list: listOf('u', true) })
  const subscribed = await server.call({ call: 'memory' })
  await server.call({ call: 'run', job: 'boards', args: { boards: 1_000, each: 10, rounds: 5, perRound: 1_000 } })
  const run = await server.call({ call: 'run', job: 'boards', args: { boards: 1_000, each: 10, rounds: 20, perRound: 1_000 } })
  return {
    'cpu µs': run.cpu / run.deliveries,
    'bytes per subscription': (used(subscribed) - 2 * used(plain) + used(start)) / clients / 100
  }
}

/**
 * Lets `count` clients enter a channel and leave it within `seconds`, and measures the server meanwhile. The first `updaters` update their
 * data each 200 ms. `prefix`: of their user ids.
 */
async function attend ({ kind, port, server, client }, { count, seconds, updaters = 0 }, prefix, channel = 'desk:d1') {
  const isOurs = kind === 'ours'
  const list = times(count, n => {
    const one = notifications(kind, port, `${prefix}${n}`)
    return isOurs ? { ...one, subscribe: [{ channel }] } : { ...one, path: `${one.path}&desk=d1` }
  })
  const updates = times(10, n => isOurs
    ? JSON.stringify({ type: 'presence', channel, data: { cursor: `c${n}` } })
    : `42["update",{"cursor":"c${n}"}]`)
  while ((await server.call({ call: 'counters' })).connections > 0);
  const before = await client.call({ call: 'state' })
  const cpuBefore = await server.call({ call: 'cpu' })
  const after = await client.call({ call: 'attend', list, args: { seconds, updaters, updates, every: 200 } })
  const { user, system } = await server.call({ call: 'cpu' })
  return {
    cpu: user + system - cpuBefore.user - cpuBefore.system,
    frames: after.received - before.received,
    bytes: after.bytes - before.bytes
  }
}

/** Measures members of a channel with presence who enter, update their data and leave. */
const members = moves => async context => {
  await attend(context, moves, 'warm')
  const { cpu, frames, bytes } = await attend(context, moves, 'u')
  return { 'cpu ms': cpu / 1_000, frames, 'MiB sent': bytes / 1024 / 1024 }
}

/** Measures the cost per member of a channel with presence, beside the same of a channel without presence. */
const manyMembers = count => async context => {
  const moves = { count, seconds: count / 250 }
  await warmUp(context)
  await attend(context, { count: 1_000, seconds: 4 }, 'warm')
  const without = await attend(context, moves, 'plain', 'board:b1')
  const { cpu, frames } = await attend(context, moves, 'u')
  return {
    'cpu µs per member': cpu / count,
    'of it presence': (cpu - without.cpu) / count,
    'frames per member': frames / count
  }
}

/** Options with the kinds of channels of W11 to W14. */
const withBoards = { ours: { boards: true }, 'ours-each': { boards: true } }

export const workloads = [
  { name: 'W1-1000', title: 'broadcast, one message a turn, 1,000 connections', figure: 'cpu µs', kinds: all, measure: broadcast(1_000, 1, 100) },
  { name: 'W1', title: 'broadcast, one message a turn, 5,000 connections', figure: 'cpu µs', kinds: all, measure: broadcast(5_000, 1, 40) },
  { name: 'W1b', title: 'broadcast, five messages a turn, 1,000 connections', figure: 'cpu µs', kinds: all, measure: broadcast(1_000, 5, 60) },
  {
    name: 'W2',
    title: 'to random users of 1,000 with two connections each, one message a turn',
    figure: 'cpu µs',
    kinds: all,
    measure: job(
      'unicast', (kind, port) => times(2_000, n => notifications(kind, port, `u${n % 1_000}`)),
      { rounds: 2, perRound: 2_000, users: 1_000, devices: 2 }, { rounds: 2, perRound: 2_000, users: 1_000, devices: 2 }, costs)
  },
  {
    name: 'W3',
    title: '500 chats, 2,000 tokens of 40 bytes each, in bursts of five',
    figure: 'cpu µs',
    kinds: all,
    measure: job(
      'tokens', (kind, port) => times(500, n => chat(kind, port, `c${n}`)),
      { chats: 500, tokens: 200, burst: 5 }, { chats: 500, tokens: 400, burst: 5 }, costs)
  },
  { name: 'W4', title: 'memory per idle connection after gc, 5,000 connections', figure: 'bytes each', kinds: all, measure: idle },
  { name: 'W5', title: 'CPU per handshake, 5,000 connections, after 5,000 that came and went', figure: 'cpu µs', kinds: all, measure: handshakes },
  { name: 'W6', title: '100 chats at 20 tokens/s beside broadcasts to 5,000 every 500 ms', figure: 'token p99 ms', kinds: all, measure: mixed },
  { name: 'W7', title: '1,000 clients stop reading, 60 s of broadcasts (320/s in bursts of 20)', figure: 'growth MiB', kinds: all, once: true, measure: stopped },
  { name: 'W8', title: '5,000 clients resume at once, each 20 messages behind', figure: 'loop delay p99 ms', kinds: ['ours'], measure: storm },
  {
    name: 'W9',
    title: 'broadcast of 2 KB with compression negotiated, 500 connections',
    figure: 'cpu µs',
    kinds: all,
    options: Object.fromEntries(all.map(kind => [kind, { compression: true }])),
    measure: job(
      'broadcast', (kind, port) => times(500, n => notifications(kind, port, `u${n}`, { extensions: 'permessage-deflate; client_max_window_bits' })),
      { rounds: 2, perTurn: 1, clients: 500, isLarge: true }, { rounds: 5, perTurn: 1, clients: 500, isLarge: true }, costs)
  },
  {
    name: 'W11',
    title: '500 pages with a bell, three chats and two channels: on one connection, or (ours-each) with a connection each',
    figure: ['bytes each', 'connect cpu µs', 'resume cpu µs', 'cpu µs'],
    kinds: ['ours', 'ours-each', 'socket-io'],
    options: withBoards,
    measure: pages
  },
  {
    name: 'W12',
    title: '100 connections with 100 of 1,000 channels each, a message to a random channel a turn',
    figure: ['cpu µs', 'bytes per subscription'],
    kinds: ['ours', 'socket-io'],
    options: withBoards,
    measure: manyChannels
  },
  {
    name: 'W13',
    title: '200 members enter a channel and leave within 10 s, 20 of them update their data five times a second',
    figure: ['cpu ms', 'frames', 'MiB sent'],
    kinds: ['ours', 'socket-io'],
    options: withBoards,
    measure: members({ count: 200, seconds: 10, updaters: 20 })
  },
  { name: 'W16', title: '500 chats, 50 single tokens/s each, through chat.send', figure: ['cpu µs', 'token p99 ms'], kinds: all, measure: stream('sender', 1) },
  { name: 'W16r', title: '500 chats, 50 single tokens/s each, through run.reply', figure: ['cpu µs', 'token p99 ms'], kinds: all, measure: stream('answer', 1) },
  { name: 'W17', title: '500 chats, 50 tokens/s each in bursts of five, through run.reply', figure: ['cpu µs', 'token p99 ms'], kinds: all, measure: stream('answer', 5) },
  { name: 'W18', title: '200 answers are stopped while 200 other chats get 50 tokens/s each', figure: ['stop p50 ms', 'stop p99 ms'], kinds: ['ours', 'by-hand'], measure: stops },
  {
    name: 'heap',
    title: 'heap bytes per delivery: as W1 with 1,000 connections, and with room for all garbage, so that they are exact',
    figure: 'heap bytes',
    kinds: all,
    nodeArgs: ['--min-semi-space-size=512', '--max-semi-space-size=512'],
    measure: broadcast(1_000, 1, 40, heapBytes)
  },
  ...[100, 1_000, 5_000, 9_000].map(clients => ({
    name: 'growth',
    title: `broadcast to ${clients}`,
    figure: 'cpu µs',
    kinds: ['ours'],
    measure: broadcast(clients, 1, Math.ceil(100_000 / clients))
  })),
  ...[1_000, 10_000].map(count => ({
    name: 'W14',
    title: `${count} members enter a channel and leave within ${count / 250} s: counts only`,
    figure: 'cpu µs per member',
    kinds: ['ours'],
    options: withBoards,
    // Takes 90 s with 10,000 members.
    once: count > 1_000,
    measure: manyMembers(count)
  })),
  ...[1_000, 10_000, 50_000].map(channels => ({ name: 'growth', title: `${channels} channels of users who are offline`, figure: 'bytes per channel', kinds: ['ours'], options: roomy, measure: offline(channels) }))
]
