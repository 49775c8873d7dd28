// Every figure that a workload reports, and whether lower or higher is better.

/** Values below `from` count as `from`: with 8, a process that shrinks by 1 MiB is no better than one that grows by 2 MiB. */
const lower = (from = 0) => ({ better: 'lower', from })
const higher = () => ({ better: 'higher', from: 0 })
/** Figure about the measurement itself, which makes no build better. */
const bookkeeping = undefined

const figures = {
  'cpu µs': lower(),
  'cpu ms': lower(),
  'cpu µs per member': lower(),
  'of it presence': lower(),
  'frames per member': lower(),
  frames: lower(),
  'MiB sent': lower(),
  'cpu µs per first publish': lower(),
  'cpu µs per publish': lower(),
  'connect cpu µs': lower(),
  'resume cpu µs': lower(),
  'node 1 µs': lower(),
  'node 2 µs': lower(),
  'redis µs': lower(),
  'deliveries/s': higher(),
  'messages/s': higher(),
  'heap bytes': lower(),
  writes: lower(),
  'bytes each': lower(),
  'bytes per subscription': lower(),
  'rss bytes each': lower(),
  'bytes per channel': lower(),
  'bytes per message of 200': lower(),
  'growth MiB': lower(8),
  'p50 ms': lower(),
  'p99 ms': lower(),
  'token p50 ms': lower(),
  'token p99 ms': lower(),
  // Differences below 0.5 ms are those of two processes that share a clock.
  'stop p50 ms': lower(0.5),
  'stop p99 ms': lower(0.5),
  'loop delay p99 ms': lower(),
  'loop delay max ms': lower(),
  'slowest HTTP ms': lower(),
  'took ms': lower(),
  'client cpu %': bookkeeping,
  tokens: bookkeeping,
  messages: bookkeeping,
  handshakes: bookkeeping,
  recovered: bookkeeping,
  received: bookkeeping,
  'HTTP answers': bookkeeping
}

/** Returns the better side and the threshold of a figure; `undefined` for bookkeeping. Throws for a name that is not in the table. */
export function figureOf (name) {
  if (!Object.hasOwn(figures, name)) throw new Error(`The figure '${name}' has no row in bench/figures.mjs: add one that says whether lower or higher is better`)
  return figures[name]
}
