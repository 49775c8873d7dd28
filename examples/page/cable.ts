/** A cable that can be pulled: its WebSocket is the browser's, until then. */
export class Cable {
  readonly WebSocket: new (url: string, protocols?: string[]) => WebSocket
  readonly #sockets = new Set<WebSocket>()
  #isCut = false

  constructor () {
    const plug = (socket: WebSocket) => this.#plug(socket)
    this.WebSocket = class extends WebSocket {
      constructor (url: string, protocols?: string[]) {
        super(url, protocols)
        plug(this)
      }
    }
  }

  cut (): void {
    this.#isCut = true
    for (const socket of [...this.#sockets]) this.#lose(socket)
  }

  mend (): void {
    this.#isCut = false
    // As a browser says it. The client does not wait any longer then.
    window.dispatchEvent(new Event('online'))
  }

  #plug (socket: WebSocket): void {
    this.#sockets.add(socket)
    socket.addEventListener('close', () => this.#sockets.delete(socket))
    if (this.#isCut) setTimeout(() => this.#lose(socket))
  }

  /** As when the network is gone: the page hears nothing any more, and that it is over. */
  #lose (socket: WebSocket): void {
    this.#sockets.delete(socket)
    const { onclose } = socket
    socket.onmessage = socket.onclose = null
    socket.close()
    onclose?.call(socket, new CloseEvent('close', { code: 1006 }))
  }
}
