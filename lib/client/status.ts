/** `connecting`: an attempt is in progress; `open`; `waiting` for the next attempt; `closed` until it is opened again. */
export type Status = 'connecting' | 'open' | 'waiting' | 'closed'

/** Result of a reconnect or a resync. `recovered: false`: publications were missed, so load your state again. */
export interface Resume {
  readonly recovered: boolean
}
