/** Whether a type is `any`. */
type IsAny<T> = 0 extends 1 & T ? true : false

/** Properties of type `any`; all properties if the type itself is `any`. */
export type AnyKeys<T> = IsAny<T> extends true ? keyof T : { [K in keyof T]-?: IsAny<T[K]> extends true ? K : never }[keyof T]

/** Does not compile if one of the types, or one of their properties, is `any`. */
export type Known<T extends readonly unknown[]> = [AnyKeysOfAll<T>] extends [never] ? true : AnyKeysOfAll<T>

type AnyKeysOfAll<T extends readonly unknown[]> = { [K in keyof T]: AnyKeys<T[K]> }[number]
