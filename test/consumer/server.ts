// A server that uses the modules for servers. It is compiled against the packed package, and never run.
import { Type, type Static } from '@sinclair/typebox'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { Redis } from 'ioredis'
import * as face from 'fastify-realtime'
import realtime, {
  MemoryBroker, closeCodes, errors, tokenOf,
  type Broker, type Chat, type Identity, type Inbound,
  type RealtimeConnection, type RealtimeOptions, type Run, type Stats, type Target, type UserMessage
} from 'fastify-realtime'
import * as ofPublisher from 'fastify-realtime/publisher'
import { createPublisher } from 'fastify-realtime/publisher'
import * as ofRedis from 'fastify-realtime/redis'
import { redisBroker } from 'fastify-realtime/redis'
import * as ofTesting from 'fastify-realtime/testing'
import { brokerContract, connect, fakeClient } from 'fastify-realtime/testing'
import type { Known } from './known.js'

export const known: Known<[
  typeof face, typeof errors, typeof errors.BROKER, InstanceType<typeof errors.BROKER>, typeof closeCodes,
  typeof ofPublisher, typeof ofRedis, typeof ofTesting,
  Pick<FastifyInstance, 'ws'>, FastifyInstance['ws'], Stats, Chat, Run, UserMessage, RealtimeConnection, Target, Broker,
  RealtimeOptions, NonNullable<RealtimeOptions['chat']>, NonNullable<RealtimeOptions['limits']>,
  NonNullable<RealtimeOptions['timeouts']>, NonNullable<RealtimeOptions['onMessage']>,
  ReturnType<typeof redisBroker>, ReturnType<typeof createPublisher>, ReturnType<typeof fakeClient>, Awaited<ReturnType<typeof connect>>
]> = true

const OrderShipped = Type.Object({ order_id: Type.String(), carrier: Type.Optional(Type.String()) })

declare module 'fastify-realtime' {
  interface Messages { order_shipped: Static<typeof OrderShipped> }
  interface Identity { role: 'admin' | 'member' }
}

export const isDevelopment: boolean = process.env.NODE_ENV === 'development'
const url: string | undefined = process.env.REDIS_URL

function identityOf (request: FastifyRequest): Identity | null {
  const token = tokenOf(request)
  return token === undefined ? null : { userId: token, role: 'member', expiresAt: isDevelopment ? undefined : new Date() }
}

const options: RealtimeOptions = {
  authenticate: isDevelopment ? undefined : identityOf,
  authorize: ({ userId, role }, target) => role === 'admin' || (target.kind === 'chat' ? target.chatId === userId : undefined),
  messages: { order_shipped: OrderShipped },
  broker: url === undefined ? undefined : redisBroker({ url, prefix: undefined, history: { size: 5, ttl: undefined } }),
  limits: { rate: isDevelopment ? 5 : undefined },
  onConnect: ({ identity: { role } }) => role satisfies 'admin' | 'member',
  onMessage: {
    order_shipped ({ data, ref }, connection) {
      const { order_id: id }: { order_id: string } = data
      connection.send({ type: 'order_shipped', data: { order_id: id }, action: undefined })
      return ref satisfies string | number | undefined
    },
    chat_message: isDevelopment ? undefined : ({ data: { content } }) => content.length,
    // @ts-expect-error A handler is a function.
    other: 'handler'
  },
  chat: {
    concurrency: isDevelopment ? 'replace' : undefined,
    async onMessage (run, { content }) {
      const schema = Type.Object({ ship: Type.Boolean() })
      const { ship } = await run.ask({ prompt: content, schema, component: undefined }, { timeout: undefined })
      await run.reply({ agent: undefined }).end()
      return ship satisfies boolean
    }
  }
}

const app = Fastify()
await app.register(realtime, options)
app.get('/echo', { websocket: true }, socket => { socket.close() })
const { id } = await app.ws.sendToUser('ada', { type: 'order_shipped', data: { order_id: 'o1' } })
id satisfies string
app.ws.chat({ workflow: 'w', appId: 'a', chatId: 'c', userId: 'u' }).start(run => run.cancel(), { ref: undefined })
if (new errors.BROKER('x').code !== 'RT_ERR_BROKER') throw new errors.CLOSING()
new errors.OVERLOADED().statusCode satisfies 503

export const broker: Broker = new MemoryBroker({ size: 1, ttl: 1, lag: 1, bytes: 1, now: undefined })
export const publisher = createPublisher({ client: new Redis(), url: undefined, maxBytes: undefined })
await publisher.broadcast({ type: 'system_announcement', message: 'x' })
const tested = await connect(app, { userId: 'ada', prefix: undefined })
tested.ack.user_id satisfies string
for (const { name } of brokerContract) name satisfies string
export const inbound = ({ data }: Inbound<'order_shipped'>): string => data.order_id

// @ts-expect-error The type has no field 'order'.
app.ws.sendToUser('ada', { type: 'order_shipped', data: { order: 'o1' } })
// @ts-expect-error The type requires data.
app.ws.sendToUser('ada', { type: 'order_shipped' })
// @ts-expect-error The type requires a message.
app.ws.broadcast({ type: 'system_announcement' })
// @ts-expect-error The identity requires a role.
app.register(realtime, { authenticate: () => ({ userId: 'ada' }) })
// @ts-expect-error There is no such option.
app.register(realtime, { authenticated: () => null })
// @ts-expect-error There is no such limit.
app.register(realtime, { limits: { rates: 1 } })
// @ts-expect-error The ids of a chat are in camelCase.
app.ws.chat({ workflow: 'w', app_id: 'a', chat_id: 'c', user_id: 'u' })
// @ts-expect-error There is no such error.
export const noSuchError = errors.NO_SUCH_ERROR
// @ts-expect-error The code is none of the codes of errors.
export const wrongCode: 'RT_ERR_OTHER' = new errors.BROKER().code
// @ts-expect-error There is no such option.
redisBroker({ url: 'redis://localhost', histroy: {} })
