import { Type, type Static, type TObject, type TSchema } from '@sinclair/typebox'
import type { Broker } from '../brokers/broker.js'
import { count, hook, ms, section, type Contradiction } from '../options/define.js'
import { isOrigin } from './access/origin.js'
import type { Authenticate, Authorize, MessageHandlers, OnConnect, OnDisconnect, Renew } from './hooks.js'

/** The server's options with their defaults. */
export const serverProperties = {
  prefix: Type.String({
    pattern: '^(/[A-Za-z0-9_.~-]+)*$',
    default: '/ws',
    description: 'where the two routes are',
    expected: "a path with a slash at its beginning and none at its end, such as '/ws' or '/api/live', of letters, digits and _ . ~ -; or '' for none"
  }),
  authenticate: hook<Authenticate>('who is connecting; without it the plugin is in development mode'),
  authorize: hook<Authorize>('who may connect to what; default: everyone to what is theirs'),
  renew: hook<Renew>('what a new credential of a connected client is worth'),
  insecure: Type.Boolean({ default: false, description: 'accepts everyone as whoever they say they are; only behind something that decides' }),
  allowedOrigins: Type.Optional(Type.Array(Type.String({ expected: "an origin, such as 'https://app.example.com'" }), {
    description: 'exact origins of pages that may connect; default: the same origin',
    expected: "an array of origins, such as ['https://app.example.com']"
  })),
  messages: Type.Unsafe<Record<string, TSchema>>(Type.Record(Type.String(), Type.Object({}, { expected: 'a TypeBox schema, such as Type.Object({})' }), {
    default: {},
    description: "TypeBox schemas of `data` of the app's own message types",
    expected: 'a plain object with a TypeBox schema for each type, such as { order_shipped: Type.Object({}) }'
  })),
  strict: Type.Boolean({ default: false, description: 'refuses to send types that have no schema' }),
  onConnect: hook<OnConnect>('called before `connection_ack`'),
  onDisconnect: hook<OnDisconnect>('called when a connection has ended'),
  onMessage: Type.Unsafe<MessageHandlers>(Type.Record(Type.String(), Type.Function([], Type.Unknown()), {
    default: {},
    description: "handlers of clients' messages, by type",
    expected: 'a plain object with a function for each type, such as { mark_read (message, connection) {} }'
  })),
  broker: Type.Optional(Type.Unsafe<Broker>(Type.Any({ description: 'where the logs live; default: in memory' }))),
  compression: Type.Boolean({ default: false, description: 'permessage-deflate for messages over 1 KiB, compressed once for all connections' }),
  history: section({
    size: count(100, 'publications per channel that can be recovered'),
    ttl: ms(300_000, 'for how long they can be, ms'),
    bytes: count(64 * 1024 * 1024, 'for all channels of the memory broker together; no user keeps more than is still free, and who has most gives way first')
  }),
  heartbeat: section({
    interval: ms(25_000, 'a ping to each connection this often, ms'),
    timeout: ms(10_000, 'nothing heard for so long after a ping: terminated, ms')
  })
}

/** The server's part of `limits`. */
export const serverLimits = {
  frame: count(64 * 1024, 'bytes of a frame from a client; `too_big`, and 1009 beyond twice as many'),
  fragments: count(1_024, 'fragments of a message from a client; 1008'),
  chunks: count(4_096, 'pieces in which a frame from a client may arrive; 1008'),
  message: count(1024 * 1024, 'bytes of a message to clients; RT_ERR_MESSAGE_TOO_LARGE'),
  rate: count(20, 'messages per second from a connection; `error`, then 4429'),
  burst: count(40, 'messages at once from a connection'),
  userRate: count(100, 'messages per second from all connections of a user, one more for each 4 KiB; or `rate`, where that is more. Sockets are read later'),
  userBurst: count(200, 'messages at once from all connections of a user; or `burst`, where that is more'),
  nodes: count(1_000, 'values in a message from a client; `too_big`'),
  waiting: count(64 * 1024 * 1024, 'bytes of messages from clients that are handled, or wait for it; no user has more than is still free. Sockets are read later'),
  queue: count(16, 'messages of a connection that wait for their handler before its socket is paused'),
  strikes: count(5, 'bad messages of a connection within a minute; 4400'),
  stored: count(32 * 1024 * 1024, 'bytes of a user that a server stores in Redis within the time that they are kept; `over_quota`'),
  lag: count(4 * 1024 * 1024, 'bytes a channel keeps beyond its history for connections that are behind; `resync`'),
  pending: count(1_000, 'handshakes in progress; no address, or /64 of IPv6, has more than are still free. HTTP 503'),
  connections: count(10_000, 'connections of this server; HTTP 503'),
  connectionsPerUser: count(10, 'connections of a user; 4429')
}

/** The server's part of `timeouts`. */
export const serverTimeouts = {
  authenticate: ms(5_000, '`authenticate` and `authorize` together, ms; 4408'),
  connect: ms(5_000, 'subscribing, and then `onConnect`, ms; 1011'),
  handler: ms(60_000, 'an `onMessage` handler, ms; 1011'),
  stall: ms(10_000, 'a connection that does not take what is written, ms; 4430'),
  close: ms(5_000, "the client's answer to a Close, ms; terminated"),
  drain: ms(10_000, "from `app.close()` until connections are terminated, ms; at most 500 less than Fastify's `pluginTimeout`"),
  spread: ms(5_000, 'over which clients are told to come back after a restart, ms')
}

type Properties = typeof serverProperties & { limits: TObject<typeof serverLimits>, timeouts: TObject<typeof serverTimeouts> }

type Options = Static<TObject<Properties>>

/** The server's options with every default filled in. */
export type ServerOptions = Omit<Options, 'broker'> & { broker: Broker }

/** What is wrong with options that are valid each. */
export function serverContradictions (options: Options): Contradiction[] {
  const { authenticate, authorize, renew, insecure, allowedOrigins = [], heartbeat, history, limits, onMessage, broker } = options
  const notAnOrigin = allowedOrigins.find(origin => !isOrigin(origin))
  return [
    [insecure && authenticate !== undefined, "'insecure' switches authentication off, and 'authenticate' is given. Remove one of them"],
    [authorize !== undefined && authenticate === undefined, "'authorize' needs to know who is connecting. Pass 'authenticate' too"],
    [notAnOrigin !== undefined, `'${notAnOrigin}' in 'allowedOrigins' is not an origin. Write it like 'https://app.example.com', without a path or a slash at the end`],
    [heartbeat.timeout >= heartbeat.interval, "'heartbeat.timeout' must be shorter than 'heartbeat.interval'"],
    [limits.burst < limits.rate, "'limits.burst' must be at least 'limits.rate'"],
    [limits.userRate < limits.rate, "'limits.userRate' must be at least 'limits.rate': one connection of a user may send as much"],
    [limits.userBurst < limits.burst, "'limits.userBurst' must be at least 'limits.burst': one connection of a user may send as much"],
    [limits.message > history.bytes, "'limits.message' must not be more than 'history.bytes': such a message could not be kept"],
    [broker !== undefined && limits.message > limits.stored, "'limits.message' must not be more than 'limits.stored': such a message could not be stored"],
    ['ping' in onMessage, "'onMessage.ping': the plugin answers 'ping' itself. Choose another type"],
    [renew !== undefined && authenticate === undefined, "'renew' needs credentials. Pass 'authenticate' too"],
    ['renew' in onMessage, "'onMessage.renew': the plugin handles 'renew' itself, with the option 'renew'. Choose another type"],
    [broker !== undefined && typeof broker?.publish !== 'function', "'broker' must be a broker, like the one of 'redisBroker(…)'. Remove it to keep the logs in memory"]
  ]
}
