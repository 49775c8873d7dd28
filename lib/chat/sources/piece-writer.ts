import type { AnswerPart, PartWriter, Reply, ToolCall } from '../hooks.js'

type ToolPiece = Extract<AnswerPart, { kind: 'tool' }>

/** Writes the pieces of a source as the parts of a reply. */
export class PieceWriter {
  readonly #reply: Reply
  readonly #calls = new Map<string, ToolCall>()
  /** The reasoning that the next piece may continue. */
  #reasoning: PartWriter | undefined

  constructor (reply: Reply) {
    this.#reply = reply
  }

  /** Writes a piece. Resolves, or returns at once, when the next one may come. */
  write (piece: string | AnswerPart): void | Promise<void> {
    if (typeof piece === 'string') return this.#text(piece)
    switch (piece.kind) {
      case 'reasoning': return this.#reason(piece.text)
      case 'tool': return this.#tool(piece)
      case 'source': return this.#reply.source(piece.value)
      case 'file': return this.#reply.file(piece.value)
      case 'data': return this.#reply.data(piece.name, piece.value, piece)
      case 'step': return this.#reply.step()
      case 'metadata': return this.#reply.metadata(piece.value)
      default: return this.#text(piece.text)
    }
  }

  #text (text: string): void {
    if (text === '') return
    this.#endReasoning()
    this.#reply.write(text)
  }

  #reason (text: string): void {
    if (text === '') return
    this.#reasoning ??= this.#reply.reasoning()
    this.#reasoning.write(text)
  }

  #endReasoning (): void {
    this.#reasoning?.end()
    this.#reasoning = undefined
  }

  async #tool ({ id, name, text, args, progress, output, error }: ToolPiece): Promise<void> {
    this.#endReasoning()
    const known = this.#calls.get(id)
    if (known === undefined && name === undefined) throw new TypeError(`the first part of the tool call '${id}' has no name`)
    const call = known ?? this.#reply.call(name!, { id })
    this.#calls.set(id, call)
    if (text !== undefined) call.write(text)
    if (args !== undefined) await call.call(args)
    if (progress !== undefined) await call.progress(progress)
    if (error !== undefined) await call.fail(error)
    else if (output !== undefined) await call.output(output)
  }
}
