import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'

/** A load balancer: a connection goes to the next node that answers. */
export async function balance (t: { teardown (action: () => unknown): void }, ports: () => number[]): Promise<number> {
  let next = 0
  const server = net.createServer(client => {
    client.on('error', () => {})
    const first = next++
    const connect = (attempt: number) => {
      const node = net.connect(ports()[(first + attempt) % ports().length], '127.0.0.1')
      const onRefused = () => attempt + 1 < ports().length ? connect(attempt + 1) : client.destroy()
      node.on('error', onRefused)
      node.on('connect', () => {
        node.off('error', onRefused).on('error', () => {})
        node.on('close', () => client.destroy())
        client.on('close', () => node.destroy())
        if (client.destroyed) node.destroy()
        else client.pipe(node).pipe(client)
      })
    }
    connect(0)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}
