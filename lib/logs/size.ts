const wide = /[^\0-\xff]/

/** Bytes of memory of the characters of a string: V8 stores two per character if any of them is beyond latin1. */
export function memoryOf (text: string): number {
  return isWide(text) ? text.length * 2 : text.length
}

export function isWide (text: string): boolean {
  // Counting bytes is several times faster than the pattern, and usually decides.
  return Buffer.byteLength(text) !== text.length && wide.test(text)
}
