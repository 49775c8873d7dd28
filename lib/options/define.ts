import { Type, type TSchema } from '@sinclair/typebox'

/** An optional function of the app, of the type `T`. */
export const hook = <T>(description: string) => Type.Optional(Type.Unsafe<T>({ ...Type.Function([], Type.Unknown()), description }))

/** A whole number of at least 1. */
export const count = (value: number, description: string) => Type.Integer({ minimum: 1, default: value, description })

/** A time in ms: at least 1, and at most the maximum of a timer. */
export const ms = (value: number, description: string) => Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1, default: value, description })

/** A section: an object with options. */
export const section = <T extends Record<string, TSchema>>(properties: T) =>
  Type.Object(properties, { additionalProperties: false, default: {} })

/** Options that may be `undefined`, which stands for the default, also in an app that is compiled with `exactOptionalPropertyTypes`. */
export type Given<T> = { [K in keyof T]?: T[K] | undefined }

/** Whether options contradict each other, and the cure. */
export type Contradiction = [isWrong: boolean, cure: string]
