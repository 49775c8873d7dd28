import { Type, type TObject } from '@sinclair/typebox'
import { errors } from './errors.js'
import { channelsOption } from './channels/options.js'
import { checkOptions } from './options/check.js'
import type { RedisAddress } from './brokers/redis/link/connection.js'

/** A whole number that Lua handles exactly; Redis supports larger ones. */
const count = Type.Optional(Type.Integer({ minimum: 0, maximum: 2 ** 48 - 1 }))

const retention = Type.Optional(Type.Object({ size: count, ttl: count, bytes: count }, {
  additionalProperties: false,
  expected: 'a plain object, such as { size: 100, ttl: 300000, bytes: 4194304 }'
}))

/** Options of both the broker and the publisher. */
const shared = {
  client: Type.Optional(Type.Any()),
  url: Type.Optional(Type.String({
    pattern: '^rediss?://',
    isSecret: true,
    expected: "the URL of a Redis server, such as 'redis://localhost:6379'"
  })),
  prefix: Type.Optional(Type.String({
    pattern: '^[^{}]*$',
    expected: "a text without braces, such as 'my-app:'. Braces would select the slot in a Cluster"
  })),
  history: retention,
  chat: retention
}

const method = Type.Function([], Type.Unknown())

const examples = [{ url: 'redis://localhost:6379' }]

const schemas = {
  redisBroker: Type.Object({ ...shared, lag: count }, { additionalProperties: false, examples }),
  createPublisher: Type.Object({
    ...shared,
    channels: Type.Optional(channelsOption),
    messages: Type.Optional(Type.Record(Type.String(), Type.Object({}, { expected: 'a TypeBox schema, such as Type.Object({})' }), {
      expected: 'a plain object with a TypeBox schema for each type, such as { order_shipped: Type.Object({}) }'
    })),
    strict: Type.Optional(Type.Boolean()),
    maxBytes: Type.Optional(Type.Integer({ minimum: 1 })),
    stored: Type.Optional(Type.Integer({ minimum: 1 })),
    log: Type.Optional(Type.Object({ error: method, warn: method, info: method }, { expected: 'a logger with error, warn and info, such as pino()' }))
  }, { additionalProperties: false, examples })
} satisfies Record<string, TObject>

/** Throws RT_ERR_OPTIONS if an option is unknown or wrong, or if not exactly one of `client` and `url` is given. */
export function checkRedisOptions (owner: keyof typeof schemas, given: RedisAddress): void {
  checkOptions(schemas[owner], given, owner)
  const { client, url } = given
  if (client !== undefined && url !== undefined) throw new errors.OPTIONS(`'client' and 'url' of ${owner} are both given. Remove one of them`)
  if (client === undefined && url === undefined) {
    throw new errors.OPTIONS(`${owner} needs a Redis. Pass 'client', an ioredis client, or 'url', such as 'redis://localhost:6379'`)
  }
  if (client !== undefined && !isClient(client)) {
    throw new errors.OPTIONS(`option 'client' of ${owner} must be a client of ioredis, such as new Redis('redis://localhost:6379')`)
  }
}

/** Whether a value is a client of any copy of ioredis. Clients of other packages have no such status. */
function isClient (client: unknown): boolean {
  const { duplicate, status, options } = Object(client)
  return typeof duplicate === 'function' && typeof status === 'string' && typeof options === 'object'
}
