/** Field `data` of a message: required if its type is. @inline */
export type DataField<T> = undefined extends T ? { data?: T | undefined } : { data: T }
