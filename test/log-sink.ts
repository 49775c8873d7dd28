/** Options of a logger that collects its output in `lines`. */
export function logSink (): { lines: string[], options: { level: 'debug', stream: { write (line: string): void } } } {
  const lines: string[] = []
  return { lines, options: { level: 'debug', stream: { write (line) { lines.push(line) } } } }
}
