// The processes of a benchmark.
import { fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import os from 'node:os'

export const hasTaskset = os.cpus().length > 1 && spawnSync('taskset', ['--version']).status === 0

/** Where to put CPU profiles of the servers, for whoever wants to know why. */
export const profile = process.env.BENCH_PROF ? ['--cpu-prof', '--cpu-prof-dir', process.env.BENCH_PROF] : []

/** A process of its own, on a core of its own where there is one. */
export class Worker {
  #child

  /** `core` is one, or several as taskset lists them. */
  constructor (file, args, core, nodeArgs = []) {
    const [command, ...first] = hasTaskset ? ['taskset', '-c', String(core), process.execPath] : [process.execPath]
    this.#child = fork(new URL(file, import.meta.url).pathname, args, {
      execPath: command,
      execArgv: [...first, '--expose-gc', ...nodeArgs],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc']
    })
    this.#child.on('exit', code => { if (code) throw new Error(`${file} ended with ${code}`) })
  }

  on (listener) { this.#child.on('message', listener) }
  send (message) { this.#child.send(message) }

  /** What comes under a name; two messages may come in one turn. */
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
    const exited = once(this.#child, 'exit')
    this.#child.disconnect()
    await exited
  }
}
