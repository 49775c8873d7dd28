/** Targets of connections, by kind of path. Each part of the package with a path adds its own. */
export interface Targets {}

/** Target of a connection, parsed from its path. */
export type Target = Targets[keyof Targets]
