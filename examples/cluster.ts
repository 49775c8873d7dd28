/**
 * The demo on two nodes: `npm run demo:cluster`, then http://localhost:8000 (PORT changes it). It starts a redis-server, unless there
 * is a REDIS_URL, two nodes, and a proxy that passes connections to them in turn. Kill a node with the command that it prints: the
 * page reconnects to the other one. A node that has ended is started again after 5 s.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

/** Delay before a node is started again, in ms. */
const restartAfter = 5_000

const children = new Set<ChildProcess>()
const closing = new AbortController()

function start (command: string, args: string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, ...env } })
  children.add(child)
  child.on('exit', () => children.delete(child))
  return child
}

async function freePort (): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

/** Whether a process accepts connections on the port. */
async function answers (port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1')
  const isThere = await once(socket, 'connect').then(() => true, () => false)
  socket.destroy()
  return isThere
}

/** Resolves when a program accepts connections. Programs start slowly on a busy machine, so it has two minutes. */
async function untilItAnswers (port: number, what: string): Promise<void> {
  for (let attempt = 0; attempt < 1_200; attempt++) {
    if (await answers(port)) return
    await setTimeout(100, undefined, { signal: closing.signal })
  }
  throw new Error(`${what} does not answer on port ${port}`)
}

/** Returns the URL of Redis: REDIS_URL, or a redis-server that is started here and stores nothing. */
async function redisUrl (): Promise<string> {
  if (process.env.REDIS_URL) return process.env.REDIS_URL
  const port = await freePort()
  const server = start('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'])
  server.on('error', () => {
    console.error('There is no redis-server here. Install it, or set REDIS_URL to one that runs')
    end(1)
  })
  await untilItAnswers(port, 'redis-server')
  return `redis://127.0.0.1:${port}`
}

/** Keeps a node running as long as this process runs. */
async function keep (name: string, port: number, url: string): Promise<void> {
  while (!closing.signal.aborted) {
    const node = start(process.execPath, [fileURLToPath(new URL('server.js', import.meta.url))], {
      PORT: String(port), HOST: '127.0.0.1', NODE_NAME: name, REDIS_URL: url
    })
    console.log(`Node ${name} has the pid ${node.pid}: kill -9 ${node.pid}`)
    await once(node, 'exit')
    if (closing.signal.aborted) return
    console.log(`Node ${name} has ended, and is started again in ${restartAfter / 1000} s`)
    await setTimeout(restartAfter, undefined, { signal: closing.signal }).catch(() => {})
  }
}

/** Passes each connection to the next node that accepts it. */
function proxy (ports: number[]): net.Server {
  let turn = 0
  return net.createServer({ allowHalfOpen: true }, client => {
    const connect = (left: number) => {
      if (left === 0) return client.destroy()
      const node = net.connect({ port: ports[turn++ % ports.length], host: '127.0.0.1', allowHalfOpen: true })
      const next = () => connect(left - 1)
      node.once('error', next)
      node.once('connect', () => {
        node.off('error', next)
        node.on('error', () => client.destroy())
        node.on('close', () => client.destroy())
        client.on('close', () => node.destroy())
        client.pipe(node).pipe(client)
      })
    }
    client.on('error', () => {})
    connect(ports.length)
  })
}

function end (code = 0): void {
  closing.abort()
  for (const child of children) child.kill('SIGTERM')
  process.exitCode = code
  server?.close()
  server = undefined
}

let server: net.Server | undefined
process.once('SIGINT', () => end())
process.once('SIGTERM', () => end())

const url = await redisUrl()
const ports = [await freePort(), await freePort()]
const nodes = ports.map((port, at) => keep('AB'[at], port, url))
await Promise.all(ports.map((port, at) => untilItAnswers(port, `node ${'AB'[at]}`)))
server = proxy(ports).listen(Number(process.env.PORT || 8000), 'localhost')
await once(server, 'listening')
console.log(`Open http://localhost:${(server.address() as AddressInfo).port}`)
await Promise.all(nodes)
