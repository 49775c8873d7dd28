import type { SavedPart } from '../hooks.js'

/** What writes a part. */
interface Writing {
  /** The part so far, in the form in which it is saved. */
  readonly saved: SavedPart
}

/** A part of a reply. Of a finished part only its JSON text is kept, which takes far less memory than its values. */
export class KeptPart {
  #writing: Writing | undefined
  #json = ''

  constructor (writing?: Writing) {
    this.#writing = writing
  }

  /** Whether the part is finished. */
  get isSet (): boolean {
    return this.#json !== ''
  }

  get saved (): SavedPart {
    return this.#writing?.saved ?? JSON.parse(this.#json)
  }

  /** Sets the finished part. Throws a TypeError when it is not JSON. */
  set (part: SavedPart): void {
    this.#json = JSON.stringify(part)
    // V8 returns a tree of pieces, and makes one string of it when a character is read.
    this.#json.charCodeAt(0)
    this.#writing = undefined
  }

  finish (): void {
    this.set(this.saved)
  }
}
