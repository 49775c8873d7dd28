import type { Presence } from '../../protocol/presence.js'
import type { PresenceState } from './presence.js'

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
