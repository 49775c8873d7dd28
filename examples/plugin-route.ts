/** Pushes from a plugin. It is registered below the root instance and has `ws`, like every other plugin. */
import { Type, type Static } from '@sinclair/typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import realtime, { Id } from 'fastify-realtime'

/** Schema of a message type of the app. Messages are checked when they are sent. */
const OrderShipped = Type.Object({
  order_id: Type.String(),
  carrier: Type.String(),
  tracking_url: Type.Optional(Type.String())
})

/** Declares the type to the compiler: `data: { orderId: 1 }` does not compile. */
declare module 'fastify-realtime' {
  interface Messages {
    order_shipped: Static<typeof OrderShipped>
  }
}

const Shipment = Type.Object({
  user_id: Type.Unsafe<string>(Id),
  carrier: Type.String({ minLength: 1 }),
  tracking_url: Type.Optional(Type.String())
})

/** Orders of the shop, as an ordinary Fastify plugin. */
export async function orders (app: FastifyInstance): Promise<void> {
  app.post<{ Params: { order_id: string }, Body: Static<typeof Shipment> }>('/:order_id/ship', { schema: { body: Shipment } },
    async ({ params, body }, reply) => {
      const { user_id: userId, carrier, tracking_url: url } = body
      const receipt = await app.ws.sendToUser(userId, {
        type: 'order_shipped',
        data: { order_id: params.order_id, carrier, tracking_url: url }
      })
      return reply.code(202).send(receipt)
    })
}

export async function build () {
  const app = Fastify()
  await app.register(realtime, { messages: { order_shipped: OrderShipped } })
  await app.register(orders, { prefix: '/orders' })
  return app
}
