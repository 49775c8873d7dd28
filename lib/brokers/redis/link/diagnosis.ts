import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import tls from 'node:tls'
import { within } from '../../../time/within.js'

/** Server to which a client tried to connect. */
export interface ProbedServer {
  readonly host: string
  readonly port: number
  readonly isTls: boolean
  /** Whether the client has a certificate. */
  readonly hasCertificate: boolean
}

/** Time for a server to send something of its own accord, in ms. */
const greetingTime = 100

/** Time for a server to answer, in ms. */
const answerTime = 300

/**
 * Connects once more to find out why a connection ended without a reason. Redis closes refused connections (protected mode, maxclients) so
 * early that its message is lost, and peers with and without TLS do not understand each other. Sends a PING at most. Resolves with
 * `undefined` if nothing is found, or when `signal` aborts. Never rejects.
 */
export async function diagnose (target: ProbedServer, signal: AbortSignal): Promise<Error | undefined> {
  const socket = net.connect(target.port, target.host)
  socket.on('error', () => {})
  try {
    await within(answerTime, once(socket, 'connect', { signal }))
    const greeting = await read(socket, greetingTime, signal)
    if (greeting.startsWith('-')) return new Error(firstSentence(greeting))
    return target.isTls ? await findPlainServer(socket, signal) ?? await findAlert(target, signal) : await findTlsServer(target, signal)
  } catch (error) {
    // If there is no connection, the error contains the reason.
    return (error as { syscall?: string }).syscall === 'connect' ? error as Error : undefined
  } finally {
    socket.destroy()
  }
}

async function findPlainServer (socket: Socket, signal: AbortSignal): Promise<Error | undefined> {
  socket.write('PING\r\n')
  const answer = await read(socket, answerTime, signal)
  if (!/^[-+]/.test(answer)) return undefined
  return Object.assign(new Error('Redis answers without TLS'), { code: 'TLS_UNEXPECTED' })
}

/** Error of a server that requires a certificate. It arrives after the handshake (RFC 8446 section 4.4.2.4), if nothing is sent. */
async function findAlert (target: ProbedServer, signal: AbortSignal): Promise<Error | undefined> {
  if (target.hasCertificate) return undefined
  const socket = secure(target)
  try {
    // 'close' means that there was no error: `once` rejects with an error.
    await within(answerTime, once(socket, 'close', { signal }))
    return undefined
  } catch (error) {
    return (error as { code?: string }).code?.startsWith('ERR_SSL') === true ? error as Error : undefined
  } finally {
    socket.destroy()
  }
}

/** Connects with TLS. The identity of the server does not matter, because nothing is sent. */
function secure ({ host, port }: ProbedServer): tls.TLSSocket {
  const socket = tls.connect({ host, port, rejectUnauthorized: false, ...(net.isIP(host) === 0 ? { servername: host } : {}) })
  socket.on('error', () => {})
  return socket
}

async function findTlsServer (target: ProbedServer, signal: AbortSignal): Promise<Error | undefined> {
  const socket = secure(target)
  try {
    await within(answerTime, once(socket, 'secureConnect', { signal }))
    return Object.assign(new Error('Redis answers with TLS'), { code: 'TLS_EXPECTED' })
  } catch {
    return undefined
  } finally {
    socket.destroy()
  }
}

/** First data within `ms` milliseconds; an empty text if there is none. */
async function read (socket: Socket, ms: number, signal: AbortSignal): Promise<string> {
  try {
    const [chunk] = await within(ms, once(socket, 'data', { signal }))
    return String(chunk)
  } catch {
    return ''
  }
}

/** First sentence of an error of Redis, which names the reason. */
function firstSentence (line: string): string {
  return line.slice(1).split(/\. |\r?\n/, 1)[0]
}
