// Starts a redis-server for the benchmark on a free loopback port. It stores nothing on disk.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { hasTaskset } from './worker.mjs'

/** Reason why there is no redis-server; `undefined` when there is one. */
export const noRedis = spawnSync('redis-server', ['--version']).error && 'redis-server is not installed (apt-get install redis-server)'

const ticksPerSecond = Number(spawnSync('getconf', ['CLK_TCK']).stdout ?? 100)

async function freePort () {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}

/** Whether a process listens on the port. */
async function isOpen (port) {
  const socket = net.connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

export class RedisServer {
  url
  #process

  static async start (core) {
    const server = new RedisServer()
    const port = await freePort()
    server.url = `redis://127.0.0.1:${port}`
    const [command, ...first] = [...hasTaskset ? ['taskset', '-c', core] : [], 'redis-server']
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    server.#process = spawn(command, [...first, ...args], { stdio: 'ignore' })
    process.on('exit', server.#kill)
    while (!await isOpen(port)) {
      if (server.#process.exitCode !== null) throw new Error(`redis-server ended with ${server.#process.exitCode}`)
      await new Promise(resolve => setTimeout(resolve, 10))
    }
    return server
  }

  #kill = () => this.#process.kill('SIGKILL')

  /** CPU time that the server has used, in µs; NaN on a system without /proc. */
  cpu () {
    try {
      // utime and stime are the 12th and the 13th field after the name, which may contain spaces.
      const fields = readFileSync(`/proc/${this.#process.pid}/stat`, 'utf8').split(') ').at(-1).split(' ')
      return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond * 1e6
    } catch {
      return NaN
    }
  }

  async end () {
    const exited = once(this.#process, 'exit')
    this.#kill()
    await exited
    process.off('exit', this.#kill)
  }
}
