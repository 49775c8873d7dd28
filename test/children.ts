import { fork, spawn, spawnSync, type ChildProcess, type ForkOptions, type SpawnOptions } from 'node:child_process'

/** Path of a program of util-linux. Without it children can outlive a test file that is killed. */
const setpriv = spawnSync('/bin/sh', ['-c', 'command -v setpriv'], { encoding: 'utf8' }).stdout.trim()

/**
 * Starts a program that the kernel ends with `signal` after any end of this process, because a test file that takes too long is
 * killed without its teardowns. The program keeps the pid of the child.
 */
export function spawnChild (command: string, args: string[], options: SpawnOptions, signal: 'KILL' | 'TERM' = 'KILL'): ChildProcess {
  const [file, ...all] = [...boundTo(signal), command, ...args]
  return spawn(file, all, options)
}

/** Like `fork`, with an end as in `spawnChild`. */
export function forkChild (file: string, args: string[] = [], { execArgv = process.execArgv, ...options }: ForkOptions = {}): ChildProcess {
  const [execPath, ...before] = [...boundTo('KILL'), process.execPath]
  return fork(file, args, { ...options, execPath, execArgv: [...before, ...execArgv] })
}

function boundTo (signal: 'KILL' | 'TERM'): string[] {
  return setpriv === '' ? [] : [setpriv, '--pdeathsig', signal]
}
