/** Iterates a stream; `return` cancels it, even while it waits for a chunk. The iterator of a stream would wait for that chunk. */
export function readerOf<T> (stream: ReadableStream<T>): AsyncIterator<T> {
  const reader = stream.getReader()
  return {
    next: async () => {
      const { done, value } = await reader.read()
      return done ? { done: true, value: undefined } : { done: false, value }
    },
    return: async () => {
      await reader.cancel()
      return { done: true, value: undefined }
    }
  }
}
