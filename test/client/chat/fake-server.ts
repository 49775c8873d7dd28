import { FakeSocket } from '../fake-socket.js'

export const target = { workflow: 'support', appId: 'shop', chatId: 'c1' }

/** Limits of a server from before there were channels. */
export const limits = { frame: 65_536, rate: 20, burst: 40 }

/** `connection_ack` of a server. */
export const ack = (limits: object) => ({ type: 'connection_ack', data: { user_id: 'ada', connection_id: 'c', position: '', replayed: 0, heartbeat_ms: 25_000, limits } })

/** Addresses of the sockets that were opened. */
export const urls = () => FakeSocket.made.map(({ url }) => url)
