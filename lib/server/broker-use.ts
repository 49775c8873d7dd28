import type { FastifyBaseLogger } from 'fastify'
import { errors } from '../errors.js'
import { report } from './reports/caught.js'

/** Brokers that a registration was given. Each serves one app, and is closed with it. */
const used = new WeakSet<object>()

/** Time for a broker to close when its registration failed, in ms: the error of the registration must not wait longer. */
const closeTime = 2_000

/**
 * Takes a broker for a registration. Throws RT_ERR_BROKER_USED when another one has it, or had it. What cannot be a broker is
 * left to the check of the options.
 */
export function takeBroker (broker: unknown): void {
  if (typeof broker !== 'object' || broker === null) return
  if (used.has(broker)) throw new errors.BROKER_USED()
  used.add(broker)
}

/** Closes the broker of a registration that failed: its connections would keep the process running. Never rejects. */
export async function discardBroker (broker: unknown, log: FastifyBaseLogger): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  try {
    const closed = (broker as { close?: () => unknown } | undefined)?.close?.()
    await Promise.race([closed, new Promise(resolve => { timer = setTimeout(resolve, closeTime) })])
  } catch (error) {
    report(log, error, 'the broker could not be closed after a registration that failed')
  }
  clearTimeout(timer)
}
