// One run of one workload, with a server and its clients in processes of their own.
import { profile, whileRunning, Worker } from './worker.mjs'

/** Returns the figures of a run. `build`: folder of the build that `ours` loads. Default: that of the working tree. */
export function measure (kind, workload, build) {
  return workload.run === undefined ? onOneServer(kind, workload, build) : workload.run(kind, build)
}

async function onOneServer (kind, workload, build) {
  const options = { ...workload.options?.[kind], ...build && { build } }
  const server = new Worker('server.mjs', [kind, JSON.stringify(options)], 0, [...workload.nodeArgs ?? [], ...profile])
  const client = new Worker('client.mjs', [], 1)
  server.on(({ expect }) => { if (expect !== undefined) client.send({ call: 'expect', expect }) })
  client.on(({ delivered }) => { if (delivered) server.send({ call: 'delivered' }) })
  try {
    return await whileRunning([server, client], async () => {
      const port = await server.first('port')
      return await workload.measure({ kind, port, server, client })
    })
  } finally {
    await client.end()
    await server.end()
  }
}
