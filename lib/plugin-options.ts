import { Type, type Static } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { Broker } from './brokers/broker.js'
import { MemoryBroker } from './brokers/memory.js'
import type { ChatOptions } from './chat/hooks.js'
import { chatContradictions, chatLimits, chatSection, chatTimeouts } from './chat/options.js'
import { channelContradictions, channelsOption } from './channels/options.js'
import { errors } from './errors.js'
import { checkOptions, checkSections, isPlain, refuseContradictions } from './options/check.js'
import { section, type Given } from './options/define.js'
import { serverContradictions, serverLimits, serverProperties, serverTimeouts } from './server/options.js'

/** Every option with its default. The tables of docs/reference.md have the same; a test compares them. */
export const optionsSchema = Type.Object({
  ...serverProperties,
  channels: channelsOption,
  chat: chatSection,
  limits: section({ ...serverLimits, ...chatLimits }),
  timeouts: section({ ...serverTimeouts, ...chatTimeouts })
}, { additionalProperties: false })

/** What `fastify.register(realtime, options)` takes. */
export type RealtimeOptions = Given<Omit<ResolvedOptions, 'prefix' | 'broker' | 'chat' | 'history' | 'heartbeat' | 'limits' | 'timeouts'>> & {
  /** Without `undefined`, as in Fastify's own type of a plugin's options. */
  prefix?: string
  broker?: Broker | undefined
  chat?: ChatOptions | undefined
  history?: Given<ResolvedOptions['history']> | undefined
  heartbeat?: Given<ResolvedOptions['heartbeat']> | undefined
  limits?: Given<ResolvedOptions['limits']> | undefined
  timeouts?: Given<ResolvedOptions['timeouts']> | undefined
}

/** The options with every default filled in. */
export type ResolvedOptions = Omit<Static<typeof optionsSchema>, 'broker'> & { broker: Broker }

/** Keys that Fastify itself reads from the options of any plugin. */
const fastifyKeys = ['logLevel', 'logSerializers']

/**
 * Fills in the defaults and checks everything once.
 * Throws RT_ERR_OPTIONS or RT_ERR_AUTHENTICATE_REQUIRED, with the cure in the message.
 */
export function resolveOptions (given: RealtimeOptions, env = process.env.NODE_ENV): ResolvedOptions {
  checkSections(optionsSchema, given)
  const options = withDefaults(given)
  checkOptions(optionsSchema, options)
  raiseForUser(options, given.limits)
  refuseContradictions([...serverContradictions(options), ...channelContradictions(options), ...chatContradictions(options)])
  if (env === 'production' && options.authenticate === undefined && !options.insecure) {
    throw new errors.AUTHENTICATE_REQUIRED()
  }
  const { history, limits } = options
  return { ...options, broker: options.broker ?? new MemoryBroker({ ...history, lag: limits.lag }) }
}

/** Without touching what was given: hooks and brokers stay the objects they are. */
function withDefaults (given: RealtimeOptions): Static<typeof optionsSchema> {
  const options: Record<string, unknown> = { ...given }
  if (Array.isArray(options.allowedOrigins)) options.allowedOrigins = [...options.allowedOrigins]
  for (const key of fastifyKeys) delete options[key]
  if (isPlain(options.onMessage)) {
    options.onMessage = Object.fromEntries(Object.entries(options.onMessage).filter(([, handler]) => handler !== undefined))
  }
  return Value.Default(optionsSchema, options) as Static<typeof optionsSchema>
}

/** A user may send at least what one of their connections may, unless the app says something else. */
function raiseForUser ({ limits }: Static<typeof optionsSchema>, given: RealtimeOptions['limits'] = {}): void {
  if (given.userRate === undefined && limits.rate > limits.userRate) limits.userRate = limits.rate
  if (given.userBurst === undefined && limits.burst > limits.userBurst) limits.userBurst = limits.burst
}
