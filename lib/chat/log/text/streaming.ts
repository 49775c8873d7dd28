import { withDelta } from '../../../protocol/delta.js'
import type { Growth } from '../../../protocol/growth.js'
import { GrowingText } from './growing-text.js'

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

/** Fields of publications that are not fields of their text: of a whole message, and of all others. */
const ownFields = { message: ['content', 'status'], other: ['at', 'text', 'status'] }

/** A text of a message, or of another part of an answer, that is not finished. */
export interface Streaming {
  readonly text: GrowingText
  readonly form: keyof typeof forms
  /** Fields of its publications other than `at`, the text and `status`. */
  head: Record<string, unknown>
  timestamp: string
}

/** Publication that a text begins with or grows by. */
export interface TextPublication {
  readonly offset: number
  readonly type: string
  readonly data: Record<string, unknown>
  readonly timestamp: string
}

/** A text that begins with a publication. */
export function begun ({ text }: Growth, { offset, type, data, timestamp }: TextPublication): Streaming {
  const growing = new GrowingText(offset - 1)
  growing.append(offset, text)
  return { text: growing, form: formOfType(type), head: headOf(type, data), timestamp }
}

/** Continues a text, or begins one with a part of it. Changes `known` if it can be continued. */
export function extended (known: Streaming | undefined, { at = 0, text }: Growth, publication: TextPublication): Streaming {
  const { offset, type, data, timestamp } = publication
  if (known?.text.length === at) {
    known.text.append(offset, text)
    known.head = headAfter(known.head, publication)
    known.timestamp = timestamp
    return known
  }
  // The publication does not continue the known text, so readers get the whole text.
  const whole = known !== undefined && known.text.base <= at ? withDelta(known.text.slice(0), at - known.text.base, text) : undefined
  const growing = new GrowingText(offset - 1, whole === undefined ? at : known!.text.base)
  growing.append(offset, whole ?? text)
  return { text: growing, form: formOfType(type), head: { ...known?.head, ...headOf(type, data) }, timestamp }
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

/** Returns which kind of text a publication belongs to. */
function formOfType (type: string): Streaming['form'] {
  return type === forms.part.delta || type === forms.part.whole ? 'part' : 'message'
}

/** Returns the fields of a text after a delta. Most deltas change none, and cost no object. */
function headAfter (head: Streaming['head'], { type, data }: TextPublication): Streaming['head'] {
  const own = ownFieldsOf(type)
  for (const field in data) {
    if (!own.includes(field) && data[field] !== head[field]) return { ...head, ...headOf(type, data) }
  }
  return head
}

/** Returns the fields of a publication other than its text, its `at` and its status. */
function headOf (type: string, data: Record<string, unknown>): Streaming['head'] {
  const own = ownFieldsOf(type)
  return Object.fromEntries(Object.entries(data).filter(([field]) => !own.includes(field)))
}

function ownFieldsOf (type: string): string[] {
  return type === forms.message.whole ? ownFields.message : ownFields.other
}
