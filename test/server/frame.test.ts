import type { Writable } from 'node:stream'
import * as ws from 'ws'
import t from 'tap'
import { maxStringFrame, textFrame } from '../../lib/server/frame.js'
import type { Frame } from '../../lib/brokers/channel-log.js'

/** Not in the types of `ws`. */
const { Receiver } = ws as unknown as { Receiver: new (options: object) => Writable }

/** What a frame has on the wire. */
function bytesOf (frame: Frame): Buffer {
  return typeof frame === 'string' ? Buffer.from(frame, 'latin1') : frame
}

/** What the other end reads; `ws` checks the header and the UTF-8. */
function received (bytes: Buffer): string[] {
  const texts: string[] = []
  const receiver = new Receiver({ allowSynchronousEvents: true, isServer: false })
  receiver.on('message', (data: Buffer, isBinary: boolean) => texts.push(isBinary ? 'binary' : data.toString()))
  receiver.on('error', error => texts.push(`error: ${error.message}`))
  receiver.write(bytes)
  return texts
}

const characters = { ascii: 'x', latin1: 'ü', bmp: '漢', separator: '\u2028', emoji: '👋' }

t.test('every size is read as it was written', async t => {
  for (const size of [0, 1, 125, 126, 127, maxStringFrame - 1, maxStringFrame, maxStringFrame + 1, 65_535, 65_536, 1024 * 1024]) {
    for (const [name, character] of Object.entries(characters)) {
      const bytes = Buffer.byteLength(character)
      const text = character.repeat(Math.floor(size / bytes)) + 'y'.repeat(size % bytes)
      const frame = textFrame(text)
      const [got, ...more] = received(bytesOf(frame))
      t.ok(got === text && more.length === 0, `${size} bytes of ${name}`)
      t.equal(typeof frame, size > maxStringFrame ? 'object' : 'string', 'a string as long as it is cheaper')
    }
  }
})

t.test('the header is the shortest, unmasked and final', async t => {
  const headers: Array<[number, number[]]> = [
    [0, [0x81, 0]], [125, [0x81, 125]], [126, [0x81, 126, 0, 126]], [256, [0x81, 126, 1, 0]], [4_096, [0x81, 126, 0x10, 0]],
    [65_535, [0x81, 126, 0xff, 0xff]], [65_536, [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]], [1024 * 1024, [0x81, 127, 0, 0, 0, 0, 0, 16, 0, 0]]
  ]
  for (const [size, header] of headers) {
    const bytes = bytesOf(textFrame('x'.repeat(size)))
    t.strictSame([...bytes.subarray(0, header.length)], header, `${size}`)
    t.equal(bytes.length, header.length + size)
  }
})

t.test('a string has one character per byte', async t => {
  for (const character of Object.values(characters)) {
    const frame = textFrame(`"${character}"`) as string
    t.notMatch(frame, /[^\0-\xff]/)
    t.equal(frame.length, 2 + 2 + Buffer.byteLength(character))
  }
})

t.test('half a surrogate pair becomes the replacement character, at every size', async t => {
  for (const length of [1, 200, 5_000, 70_000]) {
    t.ok(received(bytesOf(textFrame('\ud83d' + 'x'.repeat(length))))[0] === '\ufffd' + 'x'.repeat(length))
  }
})

t.test('frames can be put one behind the other', async t => {
  const texts = ['{"a":1}', 'ü'.repeat(100), 'x'.repeat(200), '👋'.repeat(3_000), '']
  const frames = texts.map(textFrame)
  t.strictSame(received(Buffer.concat(frames.map(bytesOf))), texts)
  const strings = frames.filter(frame => typeof frame === 'string').join('')
  t.strictSame(received(Buffer.from(strings, 'latin1')), texts.filter((_, at) => typeof frames[at] === 'string'))
})

t.test('a large frame does not hold a slab of the pool', async t => {
  const frame = textFrame('x'.repeat(maxStringFrame + 1)) as Buffer
  t.equal(frame.buffer.byteLength, frame.length)
})
