/** Maximum time for an answer, in ms. */
const patience = 10_000

/** Sends a request to the server of the demo. Throws an Error with the reason from its answer. */
export async function call<T> (path: string, body?: object): Promise<T> {
  const init = body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  const response = await fetch(path, { signal: AbortSignal.timeout(patience), ...init })
  const answer = await response.json().catch(() => ({}))
  if (!response.ok) throw new Error(answer.message ?? `HTTP ${response.status}`)
  return answer
}

export interface Task {
  task_id: string
  title: string
  client_ref?: string
}

export interface StoredMessage {
  type: string
  id: string
  timestamp: string
  data?: unknown
  message?: string
}

export interface Figures {
  connections: number
  users: number
  publications: number
  deliveries: number
  writes: number
  resyncs: number
}

export interface State {
  tasks: Task[]
  messages: StoredMessage[]
}

export function loadState (user: string): Promise<State> {
  return call(`/api/users/${encodeURIComponent(user)}/state`)
}

export interface AgentInfo {
  name: string
  is_scripted: boolean
}

export function loadAgent (): Promise<AgentInfo> {
  return call('/api/agent')
}

export function messageOf (error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
