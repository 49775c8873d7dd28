// Measures a workload on several servers, with each server and its clients in processes of their own.
import { profile, whileRunning, Worker } from './worker.mjs'

/** Thrown when one of the servers cannot run a workload. `server`: its name. `cause`: the error of the run. */
export class RunError extends Error {
  constructor (server, cause) {
    super(cause.message, { cause })
    this.server = server
  }
}

/** Elements of a list from the one at `by`, and then those before it. */
export const rotated = (list, by) => list.map((_, at) => list[(at + by) % list.length])

/**
 * Measures a workload on servers, by name: `{ kind, build }`, where `build` is the folder of the build that `ours` loads. Default: that of
 * the working tree. Where a workload has parts, all servers run, and each measures its next part in turn; otherwise they run one after
 * another. `round` changes who is first. Returns the figures by name. Throws a RunError.
 */
export async function measureInTurns (workload, servers, round = 0) {
  const figures = {}
  const going = new Map(Object.entries(servers).map(([name, server]) => [name, measuring(workload, server)]))
  try {
    for (let part = round; going.size > 0; part++) {
      for (const name of rotated(Object.keys(servers), part).filter(name => going.has(name))) {
        const { done, value } = await going.get(name).next().catch(error => { throw new RunError(name, error) })
        if (!done) continue
        figures[name] = value
        going.delete(name)
      }
    }
    return figures
  } finally {
    await Promise.all([...going.values()].map(steps => steps.return()))
  }
}

/** Yields after each part of a workload, and returns the figures. */
async function * measuring (workload, { kind, build }) {
  if (workload.run !== undefined) return await workload.run(kind, build)
  const options = { ...workload.options?.[kind], ...build && { build } }
  const server = new Worker('server.mjs', [kind, JSON.stringify(options)], 0, [...workload.nodeArgs ?? [], ...profile])
  const client = new Worker('client.mjs', [], 1)
  const workers = [server, client]
  server.on(({ expect }) => { if (expect !== undefined) client.send({ call: 'expect', expect }) })
  client.on(({ delivered }) => { if (delivered) server.send({ call: 'delivered' }) })
  try {
    const port = await whileRunning(workers, () => server.first('port'))
    const steps = workload.measure({ kind, port, server, client })
    if ('then' in steps) return await whileRunning(workers, () => steps)
    for (;;) {
      const { done, value } = await whileRunning(workers, () => steps.next())
      if (done) return value
      yield
    }
  } finally {
    await client.end()
    await server.end()
  }
}
