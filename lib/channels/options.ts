import { Type, type TSchema } from '@sinclair/typebox'
import type { Contradiction } from '../options/define.js'
import { presenceSchema } from '../presence/options.js'
import { kindPattern } from '../protocol/kind-name.js'
import type { ChannelDefinitions } from './define.js'

const fn = (expected: string) => Type.Function([], Type.Unknown(), { expected })
const handler = Type.Union([fn('a function'), Type.Undefined()], { expected: 'a function' })
const schemas = Type.Record(Type.String(), Type.Object({}, { expected: 'a TypeBox schema, such as Type.Object({})' }), {
  expected: 'a plain object with a TypeBox schema for each type'
})

/** One channel kind. */
const definition: TSchema = Type.Object({
  authorize: fn('a function that says who may subscribe, such as (identity, { id }) => canSee(identity.userId, id). Without one nobody could'),
  authorizeAll: Type.Optional(fn('a function that returns the ids that the user may subscribe to')),
  messages: Type.Optional(schemas),
  answers: Type.Optional(schemas),
  onMessage: Type.Optional(Type.Record(Type.String(), handler, { expected: 'a plain object with a function for each type' })),
  history: Type.Optional(Type.Union([
    Type.Literal(false),
    Type.Object({
      size: Type.Optional(Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 })),
      ttl: Type.Optional(Type.Integer({ minimum: 1, maximum: 2 ** 31 - 1 }))
    }, { additionalProperties: false })
  ], { expected: 'false, or { size, ttl } with whole numbers from 1 to 2147483647, such as { size: 100, ttl: 300000 }' })),
  presence: Type.Optional(presenceSchema)
}, { additionalProperties: false, expected: 'the definition of a channel kind, such as defineChannel({ authorize: () => true })' })

/** The option `channels`. */
export const channelsOption = Type.Unsafe<ChannelDefinitions>(Type.Record(Type.String(), definition, {
  default: {},
  description: "The app's own channel kinds, by name, each made with `defineChannel`",
  expected: 'a plain object with a channel kind for each name, such as { board: defineChannel({ authorize }) }'
}))

const reservedNames = ['user', 'broadcast', 'chat', 'inbox', 'presence']
const reservedTypes = ['subscribe', 'unsubscribe', 'presence', 'ping', 'renew']
const validName = new RegExp(kindPattern)

/** Contradictions in the option `channels`. */
export function channelContradictions ({ channels }: { channels: ChannelDefinitions }): Contradiction[] {
  return Object.entries(channels).flatMap(([name, { messages = {}, answers = {}, onMessage = {} }]): Contradiction[] => {
    const unanswered = Object.keys(answers).find(type => onMessage[type] === undefined)
    const reserved = reservedTypes.find(type => onMessage[type] !== undefined || messages[type] !== undefined)
    return [
      [!validName.test(name), `'${name}' in 'channels' is not a name of a channel kind: ` +
        'write a lower-case letter, and up to 31 lower-case letters, digits and _'],
      [reservedNames.includes(name), `'${name}' in 'channels' is reserved for fastify-realtime. Choose another name`],
      [unanswered !== undefined, `'channels.${name}.answers.${unanswered}': no handler answers it. Add 'channels.${name}.onMessage.${unanswered}'`],
      [reserved !== undefined, `'${reserved}' in 'channels.${name}' is reserved for fastify-realtime. Choose another type`]
    ]
  })
}

/** Schemas of the message types of channel kinds, by kind. */
export function messagesOfKinds (definitions: ChannelDefinitions): Record<string, Record<string, TSchema>> {
  return Object.fromEntries(Object.entries(definitions).map(([name, { messages = {} }]) => [name, messages]))
}
