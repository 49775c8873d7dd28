import create, { type FastifyErrorConstructor } from '@fastify/error'
import { idRule } from './protocol/ids.js'

/**
 * The class of one error. Declared here, because the type that TypeScript infers from `create` names a namespace that module
 * resolution `bundler` does not find: the errors would be `any` in such an app.
 */
export interface ErrorClass<C extends string, S extends number> extends FastifyErrorConstructor<{ code: C, statusCode: S }, unknown[]> {}

function createError<C extends string, S extends number = 500> (code: C, message: string, statusCode?: S): ErrorClass<C, S> {
  return create(code, message, statusCode) as ErrorClass<C, S>
}

/** Every error that this package throws or rejects with. The code is stable. The message names the cure. */
export const errors = {
  OPTIONS: createError('RT_ERR_OPTIONS',
    'fastify-realtime: %s'),
  AUTHENTICATE_REQUIRED: createError('RT_ERR_AUTHENTICATE_REQUIRED',
    "fastify-realtime does not start with NODE_ENV=production and without 'authenticate': any client could connect as any user. Pass 'authenticate', or 'insecure: true' if a proxy in front of this server authenticates the clients"),
  ALREADY_REGISTERED: createError('RT_ERR_ALREADY_REGISTERED',
    "'fastify.ws' already exists. Register fastify-realtime once, on the root instance. Every plugin below it can use 'fastify.ws'"),
  NOT_ON_ROOT: createError('RT_ERR_NOT_ON_ROOT',
    "fastify-realtime was registered in an encapsulated plugin: 'fastify.ws' would not exist outside of it. Register it on the root instance with the option prefix: '%s', or wrap the plugin that registers it in fastify-plugin"),
  WEBSOCKET_REGISTERED: createError('RT_ERR_WEBSOCKET_REGISTERED',
    '@fastify/websocket is already registered, in this scope or in another one. Remove that registration, or register fastify-realtime first: it registers @fastify/websocket itself, with limits and a graceful close, and your own WebSocket routes can use it'),
  INVALID_MESSAGE: createError('RT_ERR_INVALID_MESSAGE',
    'The message was not sent: %s', 400),
  MESSAGE_TOO_LARGE: createError('RT_ERR_MESSAGE_TOO_LARGE',
    "The message was not sent: it has %s bytes and 'limits.message' is %s. Send a link to the content, or raise the limit", 413),
  INVALID_ID: createError('RT_ERR_INVALID_ID',
    `%s is not a valid id. ${idRule}`, 400),
  UNKNOWN_KIND: createError('RT_ERR_UNKNOWN_KIND',
    "There is no channel kind '%s'. Add it to the option 'channels', with defineChannel({ authorize })"),
  NO_PRESENCE: createError('RT_ERR_NO_PRESENCE',
    "The members of '%s' are not known, because its kind has no presence. Set the option '%s' to true"),
  UNKNOWN_CLOSE_CODE: createError('RT_ERR_UNKNOWN_CLOSE_CODE',
    "%s is not a close code that this server may send. Use one of 'closeCodes', but not 1005 or 1006"),
  CLOSING: createError('RT_ERR_CLOSING',
    'The message was not sent: this server is closing. Retry after the restart', 503),
  UPGRADE_REQUIRED: createError('RT_ERR_UPGRADE_REQUIRED',
    'This is a WebSocket route: connect with a WebSocket client. If you did, a proxy in between does not forward the upgrade. nginx needs these lines: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";', 426),
  HANDSHAKE: createError('RT_ERR_HANDSHAKE',
    'This is not a WebSocket handshake: %s. Connect with a WebSocket client. If you did, a proxy in between does not forward the Sec-WebSocket headers', 400),
  NOT_A_CHANNEL: createError('RT_ERR_NOT_A_CHANNEL',
    'No channel has this path. The routes are GET /notifications/:user_id and GET /:workflow/:app_id/:chat_id/:user_id', 404),
  FORBIDDEN: createError('RT_ERR_FORBIDDEN',
    'The connection is not allowed: %s', 403),
  OVERLOADED: createError('RT_ERR_OVERLOADED',
    'This server accepts no more connections at the moment. Retry in a few seconds', 503),
  RUN_ENDED: createError('RT_ERR_RUN_ENDED',
    "The run has ended: %s. Stop its work when 'run.signal' aborts"),
  REPLY_TOO_LONG: createError('RT_ERR_REPLY_TOO_LONG',
    "The run was ended: a reply has more than %s bytes. Write shorter replies, or raise 'limits.message'", 413),
  RUN_TOO_LONG: createError('RT_ERR_RUN_TOO_LONG',
    "The run was ended: it published more than %s bytes. Publish less in a run, or raise 'limits.run'", 413),
  ANSWER_FAILED: createError('RT_ERR_ANSWER_FAILED',
    '%s', 502),
  NO_ANSWER: createError('RT_ERR_NO_ANSWER',
    'No user answered the question within %s ms', 408),
  CHAT_BUSY: createError('RT_ERR_CHAT_BUSY',
    'The run was not started: %s', 429),
  OVER_QUOTA: createError('RT_ERR_OVER_QUOTA',
    "The message was not sent: the user '%s' already has %s bytes in the broker, which is 'limits.stored'. Send less, wait until some of the data has expired, or raise the limit", 429),
  BROKER: createError('RT_ERR_BROKER',
    'The message was not sent: the broker could not store it (%s). Retry', 503),
  BROKER_REFUSED: createError('RT_ERR_BROKER_REFUSED',
    'The configuration of the broker is wrong: %s'),
  BROKER_USED: createError('RT_ERR_BROKER_USED',
    "The broker was opened before, or is closed. A broker serves one app: make one for each registration, with 'redisBroker(…)' or 'new MemoryBroker(…)'"),
  UNCONFIRMED: createError('RT_ERR_UNCONFIRMED',
    'The message may have been sent: the connection to Redis was lost before Redis replied. Retry if a duplicate does no harm', 504)
}

/** Whether the broker failed to store something. Such a call can be repeated, and its data may be stored already. */
export function isBrokersFailure (error: unknown): error is Error {
  return error instanceof errors.BROKER || error instanceof errors.UNCONFIRMED || error instanceof errors.OVER_QUOTA
}
