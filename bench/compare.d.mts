export type Series = 'old' | 'new' | 'control'
export type Verdict = 'better' | 'worse' | 'inside' | 'too few rounds' | 'no ratio'

export interface Compared {
  name: string
  /** Medians over the rounds. */
  old: number
  new: number
  control: number
  /** Medians of the ratios of each round; missing where there is no ratio. */
  newToOld?: number
  newToControl?: number
  controlToOld?: number
  /** At least 1: the control's spread reaches from its inverse to it. */
  spread?: number
  verdict: Verdict
}

export interface Result {
  workload: string
  figures?: Compared[]
  /** Why the workload was left out. */
  reason?: string
  /** Why the new build could not run it. */
  failure?: string
}

export const leastRounds: number
export const leastDifference: number
export const series: Series[]
export function median (values: number[]): number
export function compareFigure (name: string, values: Record<Series, number[]>): Compared | undefined
export function compareRuns (runs: Record<Series, Array<Record<string, number>>>): Compared[]
export function summaryOf (results: Result[]): { text: string, exitCode: 0 | 1 }
