// The closing list of what a run left out: `skipped: NAME: reason`, each once. A suite that is green because half of
// it was not there must say so.
import type { Reporter, TestModule } from 'vitest/node'

export class SkippedByName implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const notes = new Set<string>()
    for (const module of modules)
      for (const test of module.children.allTests('skipped')) {
        const result = test.result()
        if (result.state === 'skipped' && result.note) notes.add(result.note)
      }
    for (const note of [...notes].sort()) process.stdout.write(`skipped: ${note}\n`)
  }
}
