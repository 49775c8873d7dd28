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
    description: 'Path below which the plugin adds its two routes',
    expected: "a path with a slash at its beginning and none at its end, such as '/ws' or '/api/live', of letters, digits and _ . ~ -; or '' for none"
  }),
  authenticate: hook<Authenticate>('Returns the user of a handshake. Without it the plugin is in development mode'),
  authorize: hook<Authorize>('Decides whether a user may connect to a channel. Default: each user may connect to their own channels'),
  renew: hook<Renew>('Returns the user of a new credential that a connected client sends'),
  insecure: Type.Boolean({ default: false, description: 'Accepts each client as the user in its path. Use it only behind a proxy that authenticates clients' }),
  allowedOrigins: Type.Optional(Type.Array(Type.String({ expected: "an origin, such as 'https://app.example.com'" }), {
    description: 'Exact origins of the pages that may connect. Default: the origin of the server itself',
    expected: "an array of origins, such as ['https://app.example.com']"
  })),
  messages: Type.Unsafe<Record<string, TSchema>>(Type.Record(Type.String(), Type.Object({}, { expected: 'a TypeBox schema, such as Type.Object({})' }), {
    default: {},
    description: "TypeBox schemas of `data` for the app's own message types",
    expected: 'a plain object with a TypeBox schema for each type, such as { order_shipped: Type.Object({}) }'
  })),
  answers: Type.Unsafe<Record<string, TSchema>>(Type.Record(Type.String(), Type.Object({}, { expected: 'a TypeBox schema, such as Type.Object({})' }), {
    default: {},
    description: 'TypeBox schemas of the answers of handlers in `onMessage`, by message type. Without one, clients get no data',
    expected: 'a plain object with a TypeBox schema for each type, such as { quote: Type.Number() }'
  })),
  strict: Type.Boolean({ default: false, description: 'Refuses to send message types that have no schema' }),
  onConnect: hook<OnConnect>('Called before the client gets `connection_ack`'),
  onDisconnect: hook<OnDisconnect>('Called after a connection has ended'),
  onMessage: Type.Unsafe<MessageHandlers>(Type.Record(Type.String(), Type.Function([], Type.Unknown()), {
    default: {},
    description: 'Handlers of messages from clients, by type',
    expected: 'a plain object with a function for each type, such as { mark_read (message, connection) {} }'
  })),
  broker: Type.Optional(Type.Unsafe<Broker>(Type.Any({ description: 'Keeps the logs of all channels. Default: a broker in memory' }))),
  compression: Type.Boolean({ default: false, description: 'Negotiates permessage-deflate. Each message of 1 KiB or more is compressed once for all connections' }),
  history: section({
    size: count(100, 'Maximum publications of a channel that clients can recover'),
    ttl: ms(300_000, 'Time for which clients can recover a publication, in ms'),
    bytes: count(64 * 1024 * 1024, 'Maximum bytes of all channels in the memory broker. No user keeps more than is still free. ' +
      'The user with the most bytes loses the oldest publications first')
  }),
  heartbeat: section({
    interval: ms(25_000, 'Time between two pings to a connection, in ms'),
    timeout: ms(10_000, 'Time without any data from the client after a ping, in ms. Then the connection is terminated')
  })
}

/** The server's part of `limits`. */
export const serverLimits = {
  frame: count(64 * 1024, 'Maximum bytes of a frame from a client. A larger one gets `too_big`, and one of more than twice the limit closes with 1009'),
  fragments: count(1_024, 'Maximum fragments of a message from a client. More of them close with 1008'),
  chunks: count(4_096, 'Maximum pieces in which a frame from a client may arrive. More of them close with 1008'),
  message: count(1024 * 1024, 'Maximum bytes of a message to clients. A larger one rejects with `RT_ERR_MESSAGE_TOO_LARGE`'),
  rate: count(20, 'Maximum messages per second from a connection. More of them get `rate_limited`, and then close with 4429'),
  burst: count(40, 'Maximum messages at once from a connection'),
  userRate: count(100, 'Maximum messages per second from all connections of a user. A message counts once for each 2 KiB, begun or full. ' +
    'Beyond it the server reads the sockets of the user later. Default: `rate`, if that is higher'),
  userBurst: count(200, 'Maximum messages at once from all connections of a user. Default: `burst`, if that is higher'),
  nodes: count(1_000, 'Maximum JSON values in a message from a client. More of them get `too_big`'),
  waiting: count(64 * 1024 * 1024, 'Maximum bytes of all messages from clients that are handled or wait for their handlers. ' +
    'No user has more than is still free. Beyond it the server reads the sockets of the user later'),
  queue: count(16, 'Messages of a connection that may wait for their handlers. Then the server pauses its socket'),
  strikes: count(5, 'Number of invalid messages within a minute that closes a connection with 4400'),
  stored: count(32 * 1024 * 1024, 'Maximum bytes of a user that a server stores in Redis within the time that Redis keeps them. ' +
    'More of them reject with `RT_ERR_OVER_QUOTA`, and clients get `over_quota`'),
  lag: count(4 * 1024 * 1024, 'Maximum bytes that a channel keeps beyond its history for connections that are behind. Beyond it they get `resync`'),
  pending: count(1_000, 'Maximum handshakes in progress. No IPv4 address and no IPv6 /64 has more than are still free. One more gets HTTP 503'),
  connections: count(10_000, 'Maximum connections of this server. One more gets HTTP 503'),
  connectionsPerUser: count(20, 'Maximum connections of a user. One more is closed with 4429'),
  channels: count(100, 'Maximum channels of a connection, beside those of its path. One more gets `too_many_channels`'),
  channelsPerUser: count(400, 'Maximum channels of a user on this server, beside those of the paths. One more gets `too_many_channels`')
}

/** The server's part of `timeouts`. */
export const serverTimeouts = {
  authenticate: ms(5_000, 'Maximum time of `authenticate` and `authorize` together, in ms. Then the connection is closed with 4408'),
  connect: ms(5_000, 'Maximum time to subscribe, and then of `onConnect`, in ms. Then the connection is closed with 1011'),
  handler: ms(60_000, 'Maximum time of a handler in `onMessage`, in ms. Then the connection is closed with 1011'),
  stall: ms(10_000, 'Maximum time for which a client may not read written data, in ms. Then the connection is closed with 4430'),
  close: ms(5_000, 'Maximum time for the client to answer a Close frame, in ms. Then the socket is terminated'),
  drain: ms(10_000, "Time from `app.close()` until the remaining connections are terminated, in ms. At most 500 ms less than Fastify's `pluginTimeout`"),
  spread: ms(5_000, 'Maximum delay with which clients are asked to reconnect after a restart, in ms')
}

type Properties = typeof serverProperties & { limits: TObject<typeof serverLimits>, timeouts: TObject<typeof serverTimeouts> }

type Options = Static<TObject<Properties>>

/** The server's options with every default filled in. */
export type ServerOptions = Omit<Options, 'broker'> & { broker: Broker }

/** Contradictions between options that are valid on their own. */
export function serverContradictions (options: Options): Contradiction[] {
  const { authenticate, authorize, renew, insecure, allowedOrigins = [], heartbeat, history, limits, onMessage, answers, broker } = options
  const unanswered = Object.keys(answers).find(type => !Object.hasOwn(onMessage, type))
  const notAnOrigin = allowedOrigins.find(origin => !isOrigin(origin))
  return [
    [insecure && authenticate !== undefined, "'insecure' switches authentication off, but 'authenticate' is given. Remove one of them"],
    [authorize !== undefined && authenticate === undefined, "'authorize' needs the user that 'authenticate' returns. Pass 'authenticate' too"],
    [notAnOrigin !== undefined, `'${notAnOrigin}' in 'allowedOrigins' is not an origin. Write it like 'https://app.example.com', without a path or a slash at the end`],
    [heartbeat.timeout >= heartbeat.interval, "'heartbeat.timeout' must be shorter than 'heartbeat.interval'"],
    [limits.burst < limits.rate, "'limits.burst' must be at least 'limits.rate'"],
    [limits.userRate < limits.rate, "'limits.userRate' must be at least 'limits.rate': one connection of a user may send as much"],
    [limits.userBurst < limits.burst, "'limits.userBurst' must be at least 'limits.burst': one connection of a user may send as much"],
    [limits.message > history.bytes, "'limits.message' must not be more than 'history.bytes': the broker could not keep such a message"],
    [broker !== undefined && limits.message > limits.stored, "'limits.message' must not be more than 'limits.stored': the broker could not store such a message"],
    [unanswered !== undefined, `'answers.${unanswered}': no handler answers it. Add 'onMessage.${unanswered}'`],
    [limits.channelsPerUser < limits.channels, "'limits.channelsPerUser' must be at least 'limits.channels': one connection of a user may have as many"],
    ['ping' in onMessage, "'onMessage.ping': the plugin answers 'ping' itself. Choose another type"],
    [renew !== undefined && authenticate === undefined, "'renew' needs 'authenticate', which accepts the first credential. Pass 'authenticate' too"],
    ...(['subscribe', 'unsubscribe', 'presence'] as const).map((type): Contradiction =>
      [type in onMessage, `'onMessage.${type}': the plugin handles '${type}' itself. Choose another type`]),
    ['renew' in onMessage, "'onMessage.renew': the plugin handles 'renew' itself, with the option 'renew'. Choose another type"],
    [broker !== undefined && typeof broker?.publish !== 'function', "'broker' must be a broker, such as 'redisBroker(…)'. Remove it to keep the logs in memory"]
  ]
}
