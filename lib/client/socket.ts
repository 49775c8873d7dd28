/** Part of a WebSocket that the client uses. The WebSockets of browsers and of `ws` have it. */
export interface WebSocketLike {
  onmessage: ((event: any) => void) | null
  onclose: ((event: any) => void) | null
  onerror: ((event: any) => void) | null
  send (data: string): void
  close (code?: number, reason?: string): void
}

export type WebSocketConstructor = new (url: string, protocols?: string[]) => WebSocketLike
