// What a scenario reports, and the arithmetic on samples. Times are milliseconds.

export interface Figure {
  scenario: string
  name: string
  value: number
  unit: string
  /** Measured in the same run. Ratios are ours : theirs. */
  counterpart?: { name: string; value: number }
  target?: { text: string; met: boolean }
  /** What must be known to read the figure. */
  note?: string
}

/** The sample below which a share `q` of all samples lie (nearest rank). */
export function percentile(samples: readonly number[], q: number): number {
  if (samples.length === 0) return Number.NaN
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(q * sorted.length) - 1))]!
}

export const median = (samples: readonly number[]): number => percentile(samples, 0.5)

export const mean = (samples: readonly number[]): number =>
  samples.reduce((sum, sample) => sum + sample, 0) / samples.length

export const ratioOf = ({ value, counterpart }: Figure): number | undefined =>
  counterpart && counterpart.value !== 0 ? value / counterpart.value : undefined

/** Three figures are as many as two shared cores repeat. */
export function round(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (Math.abs(value) >= 100 || value === Math.round(value)) return String(Math.round(value))
  return value.toPrecision(3)
}

/** A table for people: one line a figure, one heading a scenario. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const ratio = ratioOf(figure)
    return {
      scenario: figure.scenario,
      cells: [
        figure.name,
        `${round(figure.value)} ${figure.unit}`,
        figure.counterpart ? `${figure.counterpart.name} ${round(figure.counterpart.value)}` : '',
        ratio === undefined ? '' : `${ratio.toPrecision(2)}×`,
        figure.target ? `${figure.target.met ? 'met ' : 'MISSED '}${figure.target.text}` : '',
        figure.note ?? '',
      ],
    }
  })
  const head = ['figure', 'measured', 'counterpart', 'ratio', 'target', 'note']
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map(({ cells }) => cells[i]!.length)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cell.padEnd(i === cells.length - 1 ? 0 : widths[i]!))
      .join('  ')
      .trimEnd()
  const lines = [line(head)]
  let scenario = ''
  for (const row of rows) {
    if (row.scenario !== scenario) lines.push('', row.scenario)
    scenario = row.scenario
    lines.push(line(row.cells))
  }
  return lines.join('\n')
}
