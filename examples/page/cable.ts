/** Connection that can be cut. Its WebSocket works like that of the browser until then. */
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
    // The event of a browser whose network is back: the client reconnects at once.
    window.dispatchEvent(new Event('online'))
  }

  #plug (socket: WebSocket): void {
    this.#sockets.add(socket)
    socket.addEventListener('close', () => this.#sockets.delete(socket))
    if (this.#isCut) setTimeout(() => this.#lose(socket))
  }

  /** Ends a socket like a network failure: no more messages, and a close with 1006. */
  #lose (socket: WebSocket): void {
    this.#sockets.delete(socket)
    const { onclose } = socket
    socket.onmessage = socket.onclose = null
    socket.close()
    onclose?.call(socket, new CloseEvent('close', { code: 1006 }))
  }
}
