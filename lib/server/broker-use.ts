import type { FastifyBaseLogger } from 'fastify'
import { errors } from '../errors.js'
import { report } from './reports/caught.js'

/** Brokers that were passed to a registration. Each serves one app and is closed with it. */
const used = new WeakSet<object>()

/** Maximum time that a failed registration waits for its broker to close before it throws, in ms. */
const closeTime = 2_000

/**
 * Takes a broker for a registration. Throws RT_ERR_BROKER_USED if another registration has it, or had it. Ignores values that are not
 * objects: the check of the options rejects them.
 */
export function takeBroker (broker: unknown): void {
  if (typeof broker !== 'object' || broker === null) return
  if (used.has(broker)) throw new errors.BROKER_USED()
  used.add(broker)
}

/** Closes the broker of a failed registration, because its connections would keep the process running. Never rejects. */
export async function discardBroker (broker: unknown, log: FastifyBaseLogger): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  try {
    const closed = (broker as { close?: () => unknown } | undefined)?.close?.()
    await Promise.race([closed, new Promise(resolve => { timer = setTimeout(resolve, closeTime) })])
  } catch (error) {
    report(log, error, 'the broker could not be closed after its registration failed')
  }
  clearTimeout(timer)
}
