import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import tls from 'node:tls'
import { within } from '../../../time/within.js'

/** Where a client of ours tried to connect. */
export interface ProbedServer {
  readonly host: string
  readonly port: number
  readonly isTls: boolean
  /** The client has a certificate of its own. */
  readonly hasCertificate: boolean
}

/** Time for a server to say something of its own accord, in ms. */
const greetingTime = 100

/** Time for a server to answer, in ms. */
const answerTime = 300

/**
 * Connects once more, to find out why a connection ended without a reason: Redis closes those that it refuses (protected
 * mode, maxclients) so early that its message is lost, and servers with and without TLS do not understand each other. Resolves
 * `undefined` when nothing is found. Never rejects. Sends a PING at most.
 */
export async function diagnose (target: ProbedServer): Promise<Error | undefined> {
  const socket = net.connect(target.port, target.host)
  socket.on('error', () => {})
  try {
    await within(answerTime, once(socket, 'connect'))
    const greeting = await read(socket, greetingTime)
    if (greeting.startsWith('-')) return new Error(firstSentence(greeting))
    return target.isTls ? await findPlainServer(socket) ?? await findAlert(target) : await findTlsServer(target)
  } catch (error) {
    // Without a connection the error says why.
    return (error as { syscall?: string }).syscall === 'connect' ? error as Error : undefined
  } finally {
    socket.destroy()
  }
}

async function findPlainServer (socket: Socket): Promise<Error | undefined> {
  socket.write('PING\r\n')
  const answer = await read(socket, answerTime)
  if (!/^[-+]/.test(answer)) return undefined
  return Object.assign(new Error('Redis answers without TLS'), { code: 'TLS_UNEXPECTED' })
}

/** A server that asks for a certificate says so after the handshake (RFC 8446 section 4.4.2.4). What is sent to it hides that. */
async function findAlert (target: ProbedServer): Promise<Error | undefined> {
  if (target.hasCertificate) return undefined
  const socket = secure(target)
  try {
    // The event 'close' of a socket without an error: `once` rejects with the error otherwise.
    await within(answerTime, once(socket, 'close'))
    return undefined
  } catch (error) {
    return (error as { code?: string }).code?.startsWith('ERR_SSL') === true ? error as Error : undefined
  } finally {
    socket.destroy()
  }
}

/** Whom the server belongs to does not matter: nothing is sent. */
function secure ({ host, port }: ProbedServer): tls.TLSSocket {
  const socket = tls.connect({ host, port, rejectUnauthorized: false, ...(net.isIP(host) === 0 ? { servername: host } : {}) })
  socket.on('error', () => {})
  return socket
}

async function findTlsServer (target: ProbedServer): Promise<Error | undefined> {
  const socket = secure(target)
  try {
    await within(answerTime, once(socket, 'secureConnect'))
    return Object.assign(new Error('Redis answers with TLS'), { code: 'TLS_EXPECTED' })
  } catch {
    return undefined
  } finally {
    socket.destroy()
  }
}

/** What comes first within the time; an empty text when nothing does. */
async function read (socket: Socket, ms: number): Promise<string> {
  try {
    const [chunk] = await within(ms, once(socket, 'data'))
    return String(chunk)
  } catch {
    return ''
  }
}

/** Redis explains at length; the first sentence names the reason. */
function firstSentence (line: string): string {
  return line.slice(1).split(/\. |\r?\n/, 1)[0]
}
