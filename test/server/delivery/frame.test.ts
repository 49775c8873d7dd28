import type { Writable } from 'node:stream'
import { randomBytes } from 'node:crypto'
import * as ws from 'ws'
import t from 'tap'
import { compressionThreshold, deflatableFrame, framesOf, maxStringFrame, textFrame } from '../../../lib/server/delivery/frame.js'
import type { Deflatable, Frame } from '../../../lib/logs/log.js'

/** Classes that the types of `ws` lack. */
const { Receiver, PerMessageDeflate } = ws as unknown as {
  Receiver: new (options: object) => Writable
  PerMessageDeflate: new (options: object) => { accept (params: object[]): void }
}

/** Bytes of a frame on the wire. */
function bytesOf (frame: Frame): Buffer {
  return typeof frame === 'string' ? Buffer.from(frame, 'latin1') : frame
}

/** Texts that the receiver of `ws` reads. It checks the header and the UTF-8. */
function received (bytes: Buffer): string[] {
  const texts: string[] = []
  const receiver = new Receiver({ allowSynchronousEvents: true, isServer: false })
  receiver.on('message', (data: Buffer, isBinary: boolean) => texts.push(isBinary ? 'binary' : data.toString()))
  receiver.on('error', error => texts.push(`error: ${error.message}`))
  receiver.write(bytes)
  return texts
}

const characters = { ascii: 'x', latin1: 'ü', bmp: '漢', separator: '\u2028', emoji: '👋' }

t.test('a text of any size is received unchanged', async t => {
  for (const size of [0, 1, 125, 126, 127, maxStringFrame - 1, maxStringFrame, maxStringFrame + 1, 65_535, 65_536, 1024 * 1024]) {
    for (const [name, character] of Object.entries(characters)) {
      const bytes = Buffer.byteLength(character)
      const text = character.repeat(Math.floor(size / bytes)) + 'y'.repeat(size % bytes)
      const frame = textFrame(text)
      const [got, ...more] = received(bytesOf(frame))
      t.ok(got === text && more.length === 0, `${size} bytes of ${name}`)
      t.equal(typeof frame, size > maxStringFrame ? 'object' : 'string', 'a frame is a string up to maxStringFrame')
    }
  }
})

t.test('the header of a frame is the shortest one, unmasked and final', async t => {
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

t.test('a frame that is a string has one character per byte', async t => {
  for (const character of Object.values(characters)) {
    const frame = textFrame(`"${character}"`) as string
    t.notMatch(frame, /[^\0-\xff]/)
    t.equal(frame.length, 2 + 2 + Buffer.byteLength(character))
  }
})

t.test('a lone surrogate becomes the replacement character at every size', async t => {
  for (const length of [1, 200, 5_000, 70_000]) {
    t.ok(received(bytesOf(textFrame('\ud83d' + 'x'.repeat(length))))[0] === '\ufffd' + 'x'.repeat(length))
  }
})

t.test('concatenated frames are received as separate messages', async t => {
  const texts = ['{"a":1}', 'ü'.repeat(100), 'x'.repeat(200), '👋'.repeat(3_000), '']
  const frames = texts.map(textFrame)
  t.strictSame(received(Buffer.concat(frames.map(bytesOf))), texts)
  const strings = frames.filter(frame => typeof frame === 'string').join('')
  t.strictSame(received(Buffer.from(strings, 'latin1')), texts.filter((_, at) => typeof frames[at] === 'string'))
})

t.test('a large frame holds no slab of the buffer pool', async t => {
  const frame = textFrame('x'.repeat(maxStringFrame + 1)) as Buffer
  t.equal(frame.buffer.byteLength, frame.length)
})

/** Texts that a receiver with negotiated compression reads. It inflates in the background. */
async function inflated (...frames: Frame[]): Promise<string[]> {
  const deflate = new PerMessageDeflate({ isServer: false })
  deflate.accept([{ server_no_context_takeover: [true] }])
  const receiver = new Receiver({ isServer: false, extensions: { 'permessage-deflate': deflate } })
  const texts: string[] = []
  await new Promise<void>((resolve, reject) => {
    receiver.on('error', reject)
    receiver.on('message', (data: Buffer) => { if (texts.push(data.toString()) === frames.length) resolve() })
    for (const frame of frames) receiver.write(bytesOf(frame))
  })
  return texts
}

t.test('a text from the compression threshold on has a compressed form, which is received unchanged', async t => {
  for (const size of [compressionThreshold, maxStringFrame, 65_535, 65_536, 200_000, 1024 * 1024]) {
    for (const [name, character] of Object.entries(characters)) {
      const text = character.repeat(size / Buffer.byteLength(character) + 1)
      const frame = deflatableFrame(text) as Deflatable
      t.ok(frame.deflated.length < frame.plain.length / 2 && frame.length >= frame.plain.length + frame.deflated.length, 'it is smaller')
      t.equal(frame.deflated, frame.deflated, 'the compressed form is made once')
      const got = await inflated(frame.deflated, frame.plain, frame.deflated)
      t.ok(got.length === 3 && got.every(each => each === text), `${size} of ${name}`)
    }
  }
  const long = Array.from({ length: 40_000 }, (_, n) => (n * 7919) % 10_007).join(' ')
  t.ok((await inflated((deflatableFrame(long) as Deflatable).deflated))[0] === long, 'a large compressed form is received unchanged')
})

t.test('a small text has no compressed form, and the compressed form of random text is smaller', async t => {
  t.equal(deflatableFrame('x'.repeat(1_000)), textFrame('x'.repeat(1_000)))
  const noise = randomBytes(4_000)
  const frame = deflatableFrame(Array.from({ length: 2_000 }, (_, n) => String.fromCodePoint(0x80 + noise.readUInt16LE(n * 2) % 0x780)).join('')) as Deflatable
  t.ok(frame.deflated.length < frame.plain.length)
})

t.test('the frame of a publication has its position, and the name of its channel if it is given', async t => {
  const position = { epoch: 'e', offset: 7 }
  const body = '{"type":"a","data":"ü"}'
  for (const channel of [undefined, 'board:b1', 'chat:w/a/c/u|"\\']) {
    const plain = framesOf('k', false, channel)(position, body)
    t.strictSame(JSON.parse(received(bytesOf(plain as Frame))[0]), { type: 'a', data: 'ü', ...channel === undefined ? {} : { channel }, id: 'k.e.7' })
  }
  const large = framesOf('k', true, 'board:b1')(position, `{"type":"a","data":"${'x'.repeat(compressionThreshold)}"}`) as Deflatable
  for (const frame of [large.plain, large.deflated]) t.match(JSON.parse((await inflated(frame))[0]), { channel: 'board:b1', id: 'k.e.7' })
  t.type(framesOf('k', false, 'board:b1')(position, `{"type":"a","data":"${'x'.repeat(compressionThreshold)}"}`), 'string')
})
