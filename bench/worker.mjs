// The processes of a benchmark.
import { fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import os from 'node:os'

export const hasTaskset = os.cpus().length > 1 && spawnSync('taskset', ['--version']).status === 0

/** Writes CPU profiles of the servers to the folder that BENCH_PROF names. */
export const profile = process.env.BENCH_PROF ? ['--cpu-prof', '--cpu-prof-dir', process.env.BENCH_PROF] : []

/** Maximum time of one run of a workload, in ms. The longest run takes about 70 s. */
const runTimeout = 300_000
/** Maximum time for a process to end by itself, in ms. A CPU profile of one minute takes a few seconds to write. */
const endTimeout = 20_000

/** Process of a benchmark, on a core of its own if there are enough. */
export class Worker {
  /** Rejects when the process reports an error, or ends before `end` was called. */
  failed
  #child

  /** `core`: one core, or several as taskset lists them. */
  constructor (file, args, core, nodeArgs = []) {
    const [command, ...first] = hasTaskset ? ['taskset', '-c', String(core), process.execPath] : [process.execPath]
    this.#child = fork(new URL(file, import.meta.url).pathname, args, {
      execPath: command,
      execArgv: [...first, '--expose-gc', ...nodeArgs],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc']
    })
    this.failed = new Promise((_resolve, reject) => {
      this.on(({ failure }) => { if (failure !== undefined) reject(Object.assign(new Error(failure.message), failure)) })
      this.#child.on('exit', (code, signal) => reject(new Error(`${file} ended with ${signal ?? code}`)))
    })
    // A failure after `end` does not affect a run.
    this.failed.catch(() => {})
  }

  on (listener) { this.#child.on('message', listener) }

  /** Sends a message. Does nothing when the process has ended, which rejects `failed`. */
  send (message) { if (this.#child.connected) this.#child.send(message, () => {}) }

  /** Resolves with the field `name` of the first message that has it. Two messages may arrive in one turn. */
  first (name) {
    return new Promise(resolve => {
      const listener = message => {
        if (!(name in message)) return
        this.#child.off('message', listener)
        resolve(message[name])
      }
      this.#child.on('message', listener)
    })
  }

  async call (message) {
    const result = this.first('result')
    this.send(message)
    return result
  }

  async end () {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exited = once(this.#child, 'exit')
    if (this.#child.connected) this.#child.disconnect()
    const late = setTimeout(() => this.#child.kill('SIGKILL'), endTimeout)
    await exited
    clearTimeout(late)
  }
}

/** Resolves with the result of `work`. Rejects when a process fails, and after `runTimeout`, because `work` may then wait forever. */
export async function whileRunning (workers, work) {
  let timer
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`the run did not end within ${runTimeout / 1000} s`)), runTimeout)
  })
  try {
    return await Promise.race([work(), late, ...workers.map(({ failed }) => failed)])
  } finally {
    clearTimeout(timer)
  }
}
