import { FormatRegistry, Kind, Type, type TSchema } from '@sinclair/typebox'
import { TypeCompiler, type TypeCheck, type ValueError } from '@sinclair/typebox/compiler'
import { errors } from '../../errors.js'
import { splitChannel } from '../../protocol/channels.js'
import { InboundMessage, commonMessages, messageSchema, reservedTypes } from '../../protocol/envelope.js'
import { caught } from '../reports/caught.js'
import { formatFault } from './formats.js'
import { messageError, outgoing, type Outgoing } from './outgoing.js'
import { timestamp } from './timestamp.js'

const utc = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/
if (!FormatRegistry.Has('date-time')) {
  FormatRegistry.Set('date-time', value => utc.test(value) && !Number.isNaN(Date.parse(value)))
}

/** A message ready to be stored: JSON text with its timestamp, without the position that it will get. */
export interface Encoded {
  readonly json: string
  readonly timestamp: string
  /** The message in `json`. For types in the catalogue it is a copy that nobody changes; `undefined` for other types. */
  readonly publication: Outgoing | undefined
}

export interface CatalogueOptions {
  /** Schemas of `data` of the app's own message types, by type. */
  messages: Record<string, TSchema>
  /** Schemas of `data` of the message types of channel kinds, by kind. They come before the common ones. Default: none. */
  messagesOfKinds?: Record<string, Record<string, TSchema>>
  /** Whether types outside the catalogue are refused. */
  strict: boolean
  /** Maximum bytes of a message. */
  maxBytes: number
}

/** TypeBox kinds that no JSON value matches. */
const notJson = ['Date', 'Function', 'Constructor', 'Symbol', 'BigInt', 'Uint8Array', 'Promise', 'Iterator', 'AsyncIterator']

/** Checks of messages and of their `data`, by type. */
interface Checks {
  readonly messages: ReadonlyMap<string, TypeCheck<TSchema>>
  readonly data: ReadonlyMap<string, TypeCheck<TSchema>>
}

/** Message types and their schemas. Validates sent and received messages. */
export class Catalogue {
  /** Checks for channels of kinds without schemas of their own. */
  readonly #common: Checks
  readonly #ofKinds = new Map<string, Checks>()
  readonly #other = TypeCompiler.Compile(messageSchema(undefined, Type.Optional(Type.Unknown())))
  readonly #inbound = TypeCompiler.Compile(InboundMessage)
  readonly #strict: boolean
  readonly #maxBytes: number

  /** Throws RT_ERR_OPTIONS if a type is reserved, or a schema cannot be used. */
  constructor ({ messages, messagesOfKinds = {}, strict, maxBytes }: CatalogueOptions) {
    this.#strict = strict
    this.#maxBytes = maxBytes
    const none: Checks = { messages: new Map(), data: new Map() }
    const plugins = checksOf(commonMessages, none, 'messages')
    this.#common = checksOf(messages, plugins, 'messages')
    for (const [kind, ofKind] of Object.entries(messagesOfKinds)) {
      this.#ofKinds.set(kind, checksOf(ofKind, this.#common, `channels.${kind}.messages`, plugins))
    }
  }

  /** Checks for a channel. */
  #of (channel: string | undefined): Checks {
    if (channel === undefined || this.#ofKinds.size === 0) return this.#common
    return this.#ofKinds.get(splitChannel(channel).kind) ?? this.#common
  }

  /**
   * Validates a message and encodes it as JSON. The JSON form of the message is validated and sent.
   * Throws RT_ERR_INVALID_MESSAGE or RT_ERR_MESSAGE_TOO_LARGE. `channel`: channel of the message, if it has one.
   */
  encode (message: Outgoing, channel?: string): Encoded {
    try {
      return this.#encode(message, channel)
    } catch (error) {
      throw messageError(error)
    }
  }

  #encode (message: Outgoing, channel: string | undefined): Encoded {
    const { messages } = this.#of(channel)
    const envelope = outgoing(message, this.#maxBytes, messages)
    const { type } = envelope
    const check = messages.get(type) ?? this.#other
    if (!check.Check(envelope)) throw new errors.INVALID_MESSAGE(reasonOf(check, envelope) + cureOf(check, envelope))
    if (isReserved(type)) throw new errors.INVALID_MESSAGE(`the type '${type}' is reserved for fastify-realtime`)
    if (this.#strict && check === this.#other) throw new errors.INVALID_MESSAGE(`'strict' is on and no schema for '${type}' is in 'messages'`)
    envelope.timestamp ??= timestamp()
    const json = JSON.stringify(envelope)
    // A UTF-16 code unit takes at most three bytes in UTF-8, so most messages need not be measured.
    if (json.length * 3 > this.#maxBytes && Buffer.byteLength(json) > this.#maxBytes) {
      throw new errors.MESSAGE_TOO_LARGE(Buffer.byteLength(json), this.#maxBytes)
    }
    return { json, timestamp: envelope.timestamp, publication: check === this.#other ? undefined : envelope }
  }

  /** Fault of a client message; `undefined` if it is valid. */
  inboundFault (message: unknown): string | undefined {
    if (!this.#inbound.Check(message)) return reasonOf(this.#inbound, message)
    const data = this.#of(message.channel).data.get(message.type)
    if (data === undefined || data.Check(message.data)) return undefined
    return reasonOf(data, message.data, '/data')
  }
}

/** Adds checks for the types of an option to those of `base`. Throws RT_ERR_OPTIONS if a type is in `taken`, or a schema cannot be used. */
function checksOf (schemas: Record<string, TSchema>, base: Checks, option: string, taken = base): Checks {
  const messages = new Map(base.messages)
  const data = new Map(base.data)
  for (const [type, schema] of Object.entries(schemas)) {
    if (isReserved(type) || taken.messages.has(type)) throw new errors.OPTIONS(`${option}: '${type}' is reserved for fastify-realtime. Choose another name`)
    const fault = formatFault(schema)
    if (fault !== undefined) throw new errors.OPTIONS(`${option}: the schema of '${type}' ${fault}`)
    const check = compiled(schema, option, type)
    data.set(type, check)
    // Undefined data is not in the message.
    messages.set(type, compiled(messageSchema(type, acceptsNothing(check) ? Type.Optional(schema) : schema), option, type))
  }
  return { messages, data }
}

/** Compiles a schema. Throws RT_ERR_OPTIONS if it cannot be compiled. `option` and `type` say where it is. */
export function compiled (schema: TSchema, option: string, type: string): TypeCheck<TSchema> {
  try {
    return TypeCompiler.Compile(schema)
  } catch (error) {
    throw new errors.OPTIONS(`${option}: the schema of '${type}' cannot be compiled (${firstLineOf(error)}). Write it with Type from @sinclair/typebox 0.34`)
  }
}

/** Whether a schema matches `undefined`. A custom check of the app may throw. */
function acceptsNothing (check: TypeCheck<TSchema>): boolean {
  try {
    return check.Check(undefined)
  } catch {
    return false
  }
}

function isReserved (type: string): boolean {
  return (reservedTypes as readonly string[]).includes(type)
}

function reasonOf (check: TypeCheck<TSchema>, value: unknown, at = ''): string {
  const first = check.Errors(value).First()
  if (first === undefined) return `${at} does not match its schema`.trim()
  return `${at}${first.path} ${first.message}`.trim()
}

/** Hint for a value that fails because of its schema or its conversion to JSON; otherwise empty. */
function cureOf (check: TypeCheck<TSchema>, value: unknown): string {
  const { schema, value: found }: Partial<ValueError> = check.Errors(value).First() ?? {}
  if (schema === undefined) return ''
  if (found === null && ['Number', 'Integer'].includes(schema[Kind])) return ', got null, which is the JSON form of NaN and Infinity'
  if (!notJson.includes(schema[Kind])) return ''
  return ". JSON has no such type: describe the value that is sent, like Type.String({ format: 'date-time' }) for a Date"
}

function firstLineOf (error: unknown): string {
  return caught(error).message.split('\n', 1)[0]
}
