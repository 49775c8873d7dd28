import type { GrowingText } from './growing-text.js'

/** Types of the publications of a text: one continues it, and one has the whole of it in a field. */
interface Form {
  readonly delta: string
  readonly whole: string
  readonly field: string
}

const forms = {
  message: { delta: 'chat_delta', whole: 'chat_message', field: 'content' },
  part: { delta: 'chat_part_delta', whole: 'chat_part', field: 'text' }
} satisfies Record<string, Form>

/** A text of a message, or of another part of an answer, that is not finished. */
export interface Streaming {
  readonly text: GrowingText
  readonly form: keyof typeof forms
  /** Fields of its publications other than `at`, the text and `status`. */
  head: Record<string, unknown>
  timestamp: string
}

/** Returns which kind of text a publication belongs to. */
export function formOfType (type: string): Streaming['form'] {
  return type === forms.part.delta || type === forms.part.whole ? 'part' : 'message'
}

/** Returns the fields of a publication other than its text, its `at` and its status. */
export function headOf (type: string, { status: _, ...data }: Record<string, unknown>): Record<string, unknown> {
  if (type === forms.message.whole) {
    const { content: _, ...head } = data
    return head
  }
  const { at: __, text: ___, ...head } = data
  return head
}

/** Returns the whole of an unfinished text so far, as a publication. `content`: its text. */
export function wholeOf ({ form, head, timestamp }: Streaming, content: string, status: string) {
  const { whole, field } = forms[form]
  // The default role is left out of deltas.
  return { type: whole, data: { ...form === 'message' && { role: 'assistant' }, ...head, [field]: content, status }, timestamp }
}

/**
 * Returns the part of an unfinished text that a reader lacks, as the JSON text of a publication: the whole text when the reader
 * has nothing of it, otherwise one delta. The reader has read up to `from`, and may have begun after `since`.
 */
export function restOf (streaming: Streaming, from: number, since: number): string {
  const { text, form, head, timestamp } = streaming
  const at = text.lengthAt(from, since)
  const rest = text.slice(at)
  return JSON.stringify(at === 0 ? wholeOf(streaming, rest, 'streaming') : { type: forms[form].delta, data: { ...head, at, text: rest }, timestamp })
}
