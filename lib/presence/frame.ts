import type { Present } from './log/entry.js'
import type { Changes } from './log/roster.js'

/** The connections of each user, by connection id. */
export type MemberMap = ReadonlyMap<string, ReadonlyMap<string, Present>>

export interface FrameParts {
  /** Number of members. */
  readonly count: number
  readonly isStale: boolean
}

/** `data` of a frame with all members, as JSON text. */
export function stateData (members: MemberMap, { isStale }: FrameParts): string {
  const list = [...members].map(([user, connections]) => memberOf(user, [...connections.values()].map(connectionOf)))
  return dataOf({ count: members.size, isStale }, [`"members":[${list.join()}]`])
}

/** `data` of a frame with the number of members alone, as JSON text. */
export function countData (parts: FrameParts): string {
  return dataOf(parts, ['"members":null'])
}

/** `data` of a frame with changes, as JSON text. */
export function differenceData (changes: Changes, parts: FrameParts): string {
  const joined = new Map<string, string[]>()
  const updated = new Map<string, string[]>()
  const left = new Map<string, string[]>()
  for (const [id, { before, after }] of changes) {
    if (after === undefined) add(left, before!.user, JSON.stringify(id))
    else add(before === undefined ? joined : updated, after.user, connectionOf(after))
  }
  return dataOf(parts, [listOf('joined', joined), listOf('updated', updated), listOf('left', left)])
}

function dataOf ({ count, isStale }: FrameParts, fields: string[]): string {
  const all = [`"count":${count}`, ...fields.filter(field => field !== ''), ...isStale ? ['"stale":true'] : []]
  return `{${all.join()}}`
}

function listOf (name: string, users: Map<string, string[]>): string {
  if (users.size === 0) return ''
  return `"${name}":[${[...users].map(([user, connections]) => memberOf(user, connections)).join()}]`
}

function memberOf (user: string, connections: string[]): string {
  return `{"user_id":${JSON.stringify(user)},"connections":[${connections.join()}]}`
}

function connectionOf ({ id, data }: Present): string {
  return data === undefined ? `{"id":${JSON.stringify(id)}}` : `{"id":${JSON.stringify(id)},"data":${data}}`
}

function add (users: Map<string, string[]>, user: string, connection: string): void {
  const connections = users.get(user)
  if (connections === undefined) users.set(user, [connection])
  else connections.push(connection)
}
