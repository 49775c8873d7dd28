/** Thrown for what the person at the command line can put right; it is printed without a stack. */
export class UsageError extends Error {}
