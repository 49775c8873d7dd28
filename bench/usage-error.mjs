/** Error that the person at the command line can correct. It is printed without a stack. */
export class UsageError extends Error {}
