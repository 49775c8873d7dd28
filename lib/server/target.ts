/** What connections are for, by kind of path. Each part of the package that has a path adds its own. */
export interface Targets {}

/** What a connection is for, as its path says. */
export type Target = Targets[keyof Targets]
