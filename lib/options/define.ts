import { Type, type TSchema } from '@sinclair/typebox'

/** A hook of the app: a function of this type, or nothing. */
export const hook = <T>(description: string) => Type.Optional(Type.Unsafe<T>({ ...Type.Function([], Type.Unknown()), description }))

/** A whole number of at least 1. */
export const count = (value: number, description: string) => Type.Integer({ minimum: 1, default: value, description })

/** A time in ms, of at least 1 ms and no longer than a timer can be. */
export const ms = (value: number, description: string) => Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1, default: value, description })

/** Options in a section of their own. */
export const section = <T extends Record<string, TSchema>>(properties: T) =>
  Type.Object(properties, { additionalProperties: false, default: {} })

/** `undefined` stands for the default, also in an app that is compiled with `exactOptionalPropertyTypes`. */
export type Given<T> = { [K in keyof T]?: T[K] | undefined }

/** Options that contradict each other: whether they do, and the cure. */
export type Contradiction = [isWrong: boolean, cure: string]
