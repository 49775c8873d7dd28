import type { SavedPart } from './hooks.js'

type Fields = Record<string, any>

/**
 * Returns the fields of a tool call as they are saved. `call` keeps the fields of the call that its outcome replaces, such as the
 * metadata of the model.
 */
export function savedCall (called: Fields, outcome: Fields = {}): Fields {
  const replaced = Object.entries(called).filter(([name]) => name in outcome)
  return { ...called, ...replaced.length > 0 && { call: Object.fromEntries(replaced) }, ...outcome }
}

/** Whether a user would see nothing of a part. */
export function isBlank (part: SavedPart): boolean {
  return part.kind === 'step' || ((part.kind === 'text' || part.kind === 'reasoning') && part.text === '')
}

/** The text of all texts, with an empty line between two of them. */
export function textOf (parts: readonly SavedPart[]): string {
  return parts.flatMap(part => part.kind === 'text' && part.text !== '' ? part.text : []).join('\n\n')
}
