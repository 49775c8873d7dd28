// A page in a project of its own: neither Fastify nor the types of Node are installed there.
import { createClient as createBrowserClient } from 'fastify-realtime/browser'
import { createChat } from 'fastify-realtime/chat'
import { createClient } from 'fastify-realtime/client'
import * as ofReact from 'fastify-realtime/react'
import type { Known } from './known.js'

declare module 'fastify-realtime/client' {
  interface Messages { order_shipped: { order_id: string } }
}

const client = createClient({ userId: 'ada' })
client.on('order_shipped', data => { (data?.order_id satisfies string | undefined) })
const inBrowser = createBrowserClient({ userId: 'ada' })
inBrowser.on('order_shipped', data => { (data?.order_id satisfies string | undefined) })
export const known: Known<[typeof client, typeof inBrowser, ReturnType<typeof createChat>, typeof ofReact]> = true
// @ts-expect-error The type has another field.
client.send('order_shipped', { order: 'o1' })
