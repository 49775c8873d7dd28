// The rule of all tests: when a test has ended, the package has left no timer, and no listener on an object of its user.
// `.ci/typescript/register.mjs` loads this file before each test file.
import { getEventListeners } from 'node:events'
import { readFileSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t, { type TestBase } from 'tap'
import { eventually } from './waiting.js'

/** Folder of the package, as stacks name it. */
const lib = new URL('../lib/', import.meta.url).href

interface Listener {
  target: WeakRef<EventTarget>
  type: string
  listener: WeakRef<object>
  place: string
}

/** Timers of the package that are set, and the places where it set them. */
const timers = new Map<unknown, string>()

/** Event listeners added to a target, for example to a signal. Weak references: garbage is no leak. */
let listeners: Listener[] = []

/** Number of tests of the file that are running: some files run several at a time. */
let running = 0

/**
 * Places whose timers and listeners may be left. A component of React that is shown again within 5 s continues where it was, and the signal
 * of a lease is garbage once the lease is released.
 */
const lingering = /^at (?:ChannelStore\.leave|onLost) /

/** Maximum time between the end of a test and the end of something that the test has closed, in ms. */
const grace = 100

type Call = (this: any, ...args: any[]) => any

const recording = new WeakSet<Call>()

/** Replaces a function, or its mock, by one that records its calls. */
function record (owner: object, name: string, recorded: (original: Call) => Call): void {
  const original = Reflect.get(owner, name) as Call
  if (recording.has(original)) return
  const { prototype: _, ...properties } = Object.getOwnPropertyDescriptors(original)
  const replacement = Object.defineProperties(recorded(original), properties)
  recording.add(replacement)
  Object.defineProperty(owner, name, { ...Object.getOwnPropertyDescriptor(owner, name), value: replacement })
}

/** Lines of the package in the stack of a call of `callee`; '' if it was not the package that called it. */
function placeOf (callee: Call): string {
  const error: { stack?: string } = {}
  Error.captureStackTrace(error, callee)
  const lines = error.stack!.split('\n').slice(1).filter(line => !line.includes('node:internal/test_runner')).map(line => line.trim())
  if (lines[0]?.includes(lib) !== true || lingering.test(lines[0])) return ''
  return lines.filter(line => line.includes(lib)).map(line => line.replace(lib, 'lib/')).join(' ')
}

function recordTimers (): void {
  for (const name of ['setTimeout', 'setInterval']) {
    record(globalThis, name, set => function recorded (action: Call, ...rest: unknown[]) {
      const timer: unknown = set(function (this: unknown, ...args: unknown[]) {
        if (name === 'setTimeout') timers.delete(timer)
        action.apply(this, args)
      }, ...rest)
      // A shorter timer fires in the next turn of the event loop.
      const place = Number(rest[0]) > 1 ? placeOf(recorded) : ''
      if (place !== '') timers.set(timer, place)
      return timer
    })
  }
  for (const name of ['clearTimeout', 'clearInterval']) {
    record(globalThis, name, clear => timer => {
      timers.delete(timer)
      clear(timer)
    })
  }
}

function recordListeners (): void {
  record(EventTarget.prototype, 'addEventListener', add => function recorded (this: EventTarget, type: string, listener, options) {
    add.call(this, type, listener, options)
    // Node loads modules over a port, with thousands of listeners.
    const place = this instanceof MessagePort ? '' : placeOf(recorded)
    if (place !== '') listeners.push({ target: new WeakRef(this), type, listener: new WeakRef(listener), place })
  })
}

function isAdded ({ target, type, listener }: Listener): boolean {
  const on = target.deref()
  return on !== undefined && getEventListeners(on, type).includes(listener.deref() as never)
}

/** What the package has set or added and not removed, with the places. */
export function leaks (): string[] {
  listeners = listeners.filter(isAdded)
  const left = [
    ...[...timers.values()].map(place => `a timer ${place}`),
    ...listeners.map(({ type, place }) => `a listener for '${type}' ${place}`)
  ]
  return [...new Set(left)]
}

/** Fails a test if the package has left something, and forgets it. */
async function check (test: Pick<TestBase, 'threw'>): Promise<void> {
  await eventually(() => leaks().length === 0, grace).catch(() => {})
  const left = leaks()
  timers.clear()
  listeners = []
  if (left.length > 0) test.threw(new Error(`left at the end of the test:\n${left.join('\n')}`))
}

/** Collects the garbage of the process, which takes about 50 ms. */
function collectGarbage (): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
}

/** Number of objects that are not garbage. */
export function countAlive (objects: Array<WeakRef<object>>): number {
  collectGarbage()
  return objects.filter(object => object.deref() !== undefined).length
}

/** Bytes of the heap that are in use after `action`, and were not before. */
export async function heapLeftBy (action: () => unknown): Promise<number> {
  collectGarbage()
  const { heapUsed } = process.memoryUsage()
  await action()
  collectGarbage()
  return process.memoryUsage().heapUsed - heapUsed
}

recordTimers()
recordListeners()
// Loading this module takes as long as a short test.
if (readFileSync(process.argv[1], 'utf8').includes("'node:test'")) {
  const { mock: { timers: clock } } = await import('node:test')
  const { enable } = clock
  clock.enable = options => {
    enable.call(clock, options)
    recordTimers()
  }
}
t.teardown(() => check(t))
t.beforeEach(test => {
  if (test.parent !== t) return
  running++
  test.teardown(() => { if (--running === 0) return check(test) })
})
