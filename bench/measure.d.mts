/** A process of a run: the server, or its clients. */
interface Process {
  call (message: object): Promise<unknown>
}

export interface Context {
  kind: string
  port: number
  server: Process
  client: Process
}

export type Figures = Record<string, number>

export interface Workload {
  measure? (context: Context): Promise<Figures> | AsyncGenerator<void, Figures>
  run? (kind: string, build?: string): Promise<Figures>
}

export class RunError extends Error {
  readonly server: string
}

export function measureInTurns<Name extends string> (workload: Workload, servers: Record<Name, { kind: string, build?: string }>, round?: number): Promise<Record<Name, Figures>>
