import type { FastifyBaseLogger } from 'fastify'

/** What the close of a server waits for. */
export interface AwaitedByServer {
  /** Handlers of clients' messages. */
  readonly handlers: ReadonlyArray<{ type: string, connectionId: string }>
  /** Connections whose `onDisconnect` runs, by their ids. */
  readonly onDisconnect: readonly string[]
  /** Handshakes whose `authenticate` or `authorize` runs. */
  readonly handshakes: number
  /** Connections, those that are busy included. */
  readonly connections: number
}

/** What the close of its chats waits for. */
export interface AwaitedByChats {
  /** Runs whose end is being stored, by their ids. */
  readonly runs: readonly string[]
  /** Messages whose `chat.save` runs, or waits for the one before, by their ids. */
  readonly saves: readonly string[]
}

export type Awaited = AwaitedByServer & AwaitedByChats

/** A close that takes longer than this says why, in ms. */
export const reportAfter = 1_000

/** At most so many ids of a kind are logged. */
const maxIds = 20

/** Logs what a close waits for, and for how many milliseconds more at most: at `warn` where that is the app's own code. */
export function reportAwaited (log: FastifyBaseLogger, awaited: Awaited, ms: number): void {
  const { handlers, onDisconnect, runs, saves, handshakes } = awaited
  const what = describe(awaited)
  if (what === '') return
  const lists = { handlers: bounded(handlers), onDisconnect: bounded(onDisconnect), runs: bounded(runs), saves: bounded(saves) }
  const fields = { ...awaited, ...lists }
  const text = `realtime: the app has been closing for ${reportAfter} ms. It waits, for ${Math.round(ms)} ms at most, for ${what}`
  if (handlers.length + onDisconnect.length + runs.length + saves.length + handshakes === 0) log.info(fields, text)
  else log.warn(fields, `${text}. Code that awaits app.close() there waits for itself: call it without await`)
}

function bounded<T> (ids: readonly T[]): readonly T[] {
  return ids.slice(0, maxIds)
}

function describe ({ handlers, onDisconnect, runs, saves, handshakes, connections }: Awaited): string {
  const parts = [
    some('the handler', handlers.map(({ type, connectionId }) => `'${type}' of connection ${connectionId}`)),
    some('onDisconnect', onDisconnect.map(id => `of connection ${id}`)),
    some('chat.save', saves.map(id => `of message ${id}`)),
    some('the end of run', runs),
    handshakes > 0 ? `authenticate or authorize of ${counted(handshakes, 'handshake')}` : '',
    connections > 0 ? `${counted(connections, 'connection')} to close` : ''
  ]
  return parts.filter(part => part !== '').join('; ')
}

function counted (count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** Names the first one, and counts the others: all of them are in the fields of the line. */
function some (what: string, [first, ...others]: readonly string[]): string {
  if (first === undefined) return ''
  return `${what} ${first}${others.length === 0 ? '' : ` and ${others.length} more`}`
}
