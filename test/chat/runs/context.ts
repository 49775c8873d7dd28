import type { RunContext } from '../../../lib/chat/runs/context.js'
import { errors } from '../../../lib/errors.js'
import type { Message } from '../../../lib/index.js'
import { Timers } from '../../../lib/time/timers.js'
import type { Data } from '../../chat.js'

/** A chat that only records its publications. */
export class FakeContext implements RunContext {
  readonly target = { workflow: 'w', appId: 'a', chatId: 'c', userId: 'u' }
  readonly timers = new Timers()
  readonly limits = { message: 10_000, run: 20_000, runTime: 60_000 }
  readonly published: Array<{ type: string, data: Data }> = []
  readonly saved: Data[] = []
  readonly logged: string[] = []
  /** Fields of the log lines. */
  readonly loggedFields: object[] = []
  readonly over: unknown[] = []
  readonly log = {
    error: (fields: object, text: string) => {
      this.logged.push(text)
      this.loggedFields.push(fields)
    }
  } as unknown as RunContext['log']

  /** Returns the result of `publish`. By default this is a receipt, at once. */
  answer: () => unknown = () => ({ id: 'c.e.1', timestamp: '' })
  isHidden = (_message: Message) => false
  #soon: Array<() => void> = []

  publish (message: Message) {
    const answer = this.answer()
    this.published.push(JSON.parse(JSON.stringify(message)))
    return answer as ReturnType<RunContext['publish']>
  }

  deliver (message: Message) {
    this.published.push(JSON.parse(JSON.stringify(message)))
  }

  isVisible (message: Message) {
    return !this.isHidden(message)
  }

  save (message: Data) {
    this.saved.push(message)
  }

  soon (action: () => void) {
    this.#soon.push(action)
  }

  onOver (run: unknown) {
    this.over.push(run)
  }

  /** Ends the turn of the event loop. */
  turn () {
    for (const action of this.#soon.splice(0)) action()
  }

  get types () {
    return this.published.map(({ type }) => type)
  }
}

export function down (): never {
  throw new errors.BROKER('down')
}
