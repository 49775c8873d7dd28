import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import t from 'tap'
import { ChatClient } from '../../../lib/client/chat/client.js'
import { createClient } from '../../../lib/client/chat/index.js'
import { every, found } from '../../every.js'
import { root } from '../../root.js'
import { FakeSocket } from '../fake-socket.js'

async function bundle (contents: string) {
  const { outputFiles, metafile } = await build({
    stdin: { contents, resolveDir: join(root, 'lib') },
    bundle: true,
    splitting: true,
    outdir: root,
    minify: true,
    format: 'esm',
    platform: 'browser',
    external: ['react'],
    write: false,
    metafile: true
  })
  return { size: gzipSync(outputFiles[0].contents, { level: 9 }).length, inputs: Object.keys(Object.values(metafile.outputs)[0].inputs).filter(name => name !== '<stdin>') }
}

t.test('the bundle of fastify-realtime/chat has at most 12 KiB, and only files of the client and the protocol', async t => {
  const { size, inputs } = await bundle("export * from './client/chat/index.ts'")
  t.ok(size <= 12 * 1024, `${size} bytes with gzip`)
  t.ok(inputs.some(input => input.endsWith('client/chat/conversation.ts')))
  t.ok(every(inputs, input => /lib\/(client|protocol)\//.test(input)), inputs.join(' '))
})

t.test('bundles without chats do not contain the code of chats', async t => {
  for (const contents of ["export * from './client/index.ts'", "export { RealtimeProvider, useRealtime, useNotifications, useOptimisticList } from './react/index.ts'"]) {
    const { inputs } = await bundle(contents)
    t.ok(inputs.length > 5)
    t.strictSame(found(inputs, input => input.includes('chat')), [], contents)
  }
  t.ok((await bundle("export { useChat } from './react/index.ts'")).inputs.some(input => input.includes('chat')))
})

t.test('createClient creates a client with chats', async t => {
  const client = createClient({ baseUrl: 'ws://a.example/ws', userId: 'ada', WebSocket: FakeSocket })
  t.teardown(() => client.close())
  t.ok(client instanceof ChatClient)
})
