import type { Frame } from '../brokers/channel-log.js'

/** Up to this many bytes a frame is a string; above, copying it for each connection costs more than sharing a Buffer. */
export const maxStringFrame = 4096

/** Wraps JSON text into one unmasked, unfragmented WebSocket text frame (RFC 6455 section 5.2). */
export function textFrame (json: string): Frame {
  const length = Buffer.byteLength(json)
  if (length > maxStringFrame) return bufferFrame(json, length)
  const isAscii = length === json.length
  return stringHeader(length) + (isAscii ? json : Buffer.from(json).toString('latin1'))
}

function stringHeader (length: number): string {
  if (length < 126) return String.fromCharCode(0x81, length)
  return String.fromCharCode(0x81, 126, length >> 8, length & 0xff)
}

/** Not from Buffer's pool: a retained slice would keep its whole 8 KiB slab. */
function bufferFrame (json: string, length: number): Buffer {
  const isLong = length > 0xffff
  const headerLength = isLong ? 10 : 4
  const frame = Buffer.allocUnsafeSlow(headerLength + length)
  frame[0] = 0x81
  frame[1] = isLong ? 127 : 126
  if (isLong) frame.writeBigUInt64BE(BigInt(length), 2)
  else frame.writeUInt16BE(length, 2)
  frame.write(json, headerLength)
  return frame
}
