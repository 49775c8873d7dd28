// A server without any of the optional peers, and without the types of a browser.
import Fastify, { type FastifyInstance } from 'fastify'
import * as face from 'fastify-realtime'
import realtime, { errors } from 'fastify-realtime'
import type { Known } from './known.js'

export const known: Known<[typeof face, typeof errors, FastifyInstance['ws']]> = true

const app = Fastify()
await app.register(realtime)
await app.ws.sendToUser('ada', { type: 'notification', data: { title: 'Hello' } })
// @ts-expect-error There is no such field.
await app.ws.sendToUser('ada', { type: 'notification', data: { titel: 'Hello' } })
// @ts-expect-error A WebSocket has no such method: its types come with this package. Without @types/ws it would be `any`.
app.get('/echo', { websocket: true }, socket => { socket.noSuchMethod() })
