import type { Member } from '../../protocol/member.js'
import type { Presence } from '../../protocol/presence.js'

/** State of the presence in a channel. Immutable: a change creates another object, with the same objects for unchanged parts. */
export interface PresenceState<D = unknown> {
  /** Members in the order in which they joined; empty when there are more than the server lists. */
  readonly members: readonly Member<D>[]
  /** Number of users who are present, whether they are listed or not. */
  readonly count: number
  /**
   * Whether the state may be old: before the first frame, while not connected, when the
   * code for it could not be loaded, and while the server cannot reach its broker.
   */
  readonly isStale: boolean
}

/** Applies a frame. */
export function applied (
  state: Pick<PresenceState, 'members'>, { count, members, joined = [], updated = [], left = [], stale }: Presence
): PresenceState {
  const known = new Map(state.members.map(member => [member.userId, member]))
  const all = new Map(members === undefined ? known : [])
  // `left` comes last: a connection that replaces another one joins in the frame in which that one leaves.
  for (const { user_id: userId, connections } of [...members ?? [], ...joined, ...updated, ...left]) {
    const byId = new Map(all.get(userId)?.connections.map(each => [each.id, each]))
    for (const each of connections) {
      if (typeof each === 'string') byId.delete(each)
      else byId.set(each.id, each)
    }
    const member = { userId, connections: [...byId.values()] }
    const before = known.get(userId)
    if (byId.size > 0) all.set(userId, JSON.stringify(member) === JSON.stringify(before) ? before! : member)
    else all.delete(userId)
  }
  const list = [...all.values()]
  const isKept = list.length === known.size && list.every((member, at) => member === state.members[at])
  return { members: isKept ? state.members : list, count, isStale: !!stale }
}
