import { constants, deflateRawSync } from 'node:zlib'
import type { Deflatable, Frame, FrameOf } from '../../logs/log.js'
import { formatPosition, type Label } from '../../protocol/position.js'

/** Maximum bytes of a frame that is a string. Above, copying it for each connection costs more than sharing a Buffer. */
export const maxStringFrame = 4096

/** Minimum bytes of a frame that is compressed. Below, compression saves less than it costs. */
export const compressionThreshold = 1024

/** First byte of a text frame: FIN and the opcode (RFC 6455 section 5.2), and RSV1 if it is compressed (RFC 7692 section 6). */
const plainText = 0x81
const deflatedText = 0xc1

/** Encodes JSON text as one unmasked, unfragmented WebSocket text frame. */
export function textFrame (json: string): Frame {
  const length = Buffer.byteLength(json)
  if (length > maxStringFrame) return bufferFrame(plainText, Buffer.from(json))
  const isAscii = length === json.length
  return stringHeader(plainText, length) + (isAscii ? json : Buffer.from(json).toString('latin1'))
}

/** Encodes JSON text as a frame that has a compressed form, if it is large enough. */
export function deflatableFrame (json: string): Frame | Deflatable {
  const plain = textFrame(json)
  return plain.length < compressionThreshold ? plain : new DeflatableFrame(plain)
}

/**
 * Encodes the publications of a channel: their JSON text with the position as `id`, and the name of the channel if it is given.
 * `isCompressed`: with a compressed form.
 */
export function framesOf (label: Label, isCompressed: boolean, channel?: string): FrameOf {
  const encode = isCompressed ? deflatableFrame : textFrame
  const name = channel === undefined ? '' : `,"channel":${JSON.stringify(channel)}`
  return (position, body) => encode(`${body.slice(0, -1)}${name},"id":"${formatPosition(label, position)}"}`)
}

class DeflatableFrame implements Deflatable {
  readonly length: number
  readonly plain: Frame
  #deflated: Frame | undefined

  constructor (plain: Frame) {
    this.plain = plain
    this.length = plain.length * 2
  }

  get deflated (): Frame {
    this.#deflated ??= deflate(this.plain)
    return this.#deflated
  }
}

function deflate (plain: Frame): Frame {
  const frame = typeof plain === 'string' ? Buffer.from(plain, 'latin1') : plain
  const payload = frame.subarray(frame[1] === 127 ? 10 : 4)
  // Large messages use the fastest level, so that a message of 1 MiB blocks the event loop only for milliseconds.
  const level = payload.length > 0xffff ? constants.Z_BEST_SPEED : constants.Z_DEFAULT_COMPRESSION
  // Removes the end of a flushed block, 00 00 ff ff (RFC 7692 section 7.2.1).
  const deflated = deflateRawSync(payload, { level, finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4)
  if (deflated.length > maxStringFrame) return bufferFrame(deflatedText, deflated)
  return stringHeader(deflatedText, deflated.length) + deflated.toString('latin1')
}

function stringHeader (first: number, length: number): string {
  if (length < 126) return String.fromCharCode(first, length)
  return String.fromCharCode(first, 126, length >> 8, length & 0xff)
}

/** Allocates a frame outside of Buffer's pool: a retained slice would keep its whole 8 KiB slab. */
function bufferFrame (first: number, payload: Buffer): Buffer {
  const { length } = payload
  const isLong = length > 0xffff
  const headerLength = isLong ? 10 : 4
  const frame = Buffer.allocUnsafeSlow(headerLength + length)
  frame[0] = first
  frame[1] = isLong ? 127 : 126
  if (isLong) frame.writeBigUInt64BE(BigInt(length), 2)
  else frame.writeUInt16BE(length, 2)
  frame.set(payload, headerLength)
  return frame
}
