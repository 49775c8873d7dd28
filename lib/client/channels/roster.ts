import type { Member, MemberConnection } from '../../protocol/member.js'

/** Connections of a user, in a frame. */
interface Listed<C> {
  readonly user_id: string
  readonly connections: readonly C[]
}

/** `data` of a `presence` frame: the state, or the difference to the frame before. */
export interface PresenceFrame {
  readonly count: number
  /** All members; `null` when there are too many to list. A frame with `members` is a state. */
  readonly members?: ReadonlyArray<Listed<MemberConnection>> | null
  readonly joined?: ReadonlyArray<Listed<MemberConnection>>
  readonly updated?: ReadonlyArray<Listed<MemberConnection>>
  readonly left?: ReadonlyArray<Listed<string>>
  /** Whether the server cannot reach its broker. */
  readonly stale?: boolean
}

/** State of the presence in a channel. Immutable: a change creates another object, with the same objects for unchanged parts. */
export interface PresenceState<D = unknown> {
  /** Members in the order in which they joined; empty when there are more than the server lists. */
  readonly members: readonly Member<D>[]
  /** Number of users who are present, whether they are listed or not. */
  readonly count: number
  /** Whether the state may be old: before the first frame, while not connected, and while the server cannot reach its broker. */
  readonly isStale: boolean
}

/** State before the first frame. */
export const nobody: PresenceState = { members: [], count: 0, isStale: true }

const isSame = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)

/** Applies a frame. */
export function applied (state: PresenceState, frame: PresenceFrame): PresenceState {
  const { count, members, joined = [], updated = [], left = [], stale = false } = frame
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
    if (byId.size > 0) all.set(userId, isSame(member, before) ? before! : member)
    else all.delete(userId)
  }
  const list = [...all.values()]
  return { members: isSame(list, state.members) ? state.members : list, count, isStale: stale }
}

/** Returns the frame of a state, for another reader. */
export function frameOf ({ members, count, isStale }: PresenceState): PresenceFrame {
  return {
    count,
    members: count > members.length ? null : members.map(({ userId, connections }) => ({ user_id: userId, connections })),
    stale: isStale || undefined
  }
}
