/** Whether a type is `any`. */
type IsAny<T> = 0 extends 1 & T ? true : false

/** The properties whose type is `any`; all of them where the whole is. */
export type AnyKeys<T> = IsAny<T> extends true ? keyof T : { [K in keyof T]-?: IsAny<T[K]> extends true ? K : never }[keyof T]

/** Does not compile where one of the types, or one of their properties, is `any`. */
export type Known<T extends readonly unknown[]> = [AnyKeysOfAll<T>] extends [never] ? true : AnyKeysOfAll<T>

type AnyKeysOfAll<T extends readonly unknown[]> = { [K in keyof T]: AnyKeys<T[K]> }[number]
