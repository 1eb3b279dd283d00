// What a scenario is given and what it gives back.
import type { Figure } from './figures.ts'

export interface Context {
  /** Less of everything, for a look in between: the whole bench in a minute. */
  quick: boolean
  /** Progress, on standard error. */
  note(text: string): void
}

export interface Scenario {
  name: string
  /** One line: what is measured. */
  title: string
  run(context: Context): Promise<Omit<Figure, 'scenario'>[]>
}
