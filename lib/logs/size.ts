const wide = /[^\0-\xff]/

/** Bytes of memory that the characters of a string take: V8 keeps two per character once any of them is beyond latin1. */
export function memoryOf (text: string): number {
  return isWide(text) ? text.length * 2 : text.length
}

export function isWide (text: string): boolean {
  // Counting bytes is several times faster than the pattern, and mostly tells enough.
  return Buffer.byteLength(text) !== text.length && wide.test(text)
}
