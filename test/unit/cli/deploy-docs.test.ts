// The commands of docs/deploy.md and of the example workflows say words that the commands know.
import { globSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { DEPLOY_HELP } from '../../../cli/deploy.ts'
import { DOCTOR_HELP } from '../../../cli/doctor.ts'
import { INIT_HELP } from '../../../cli/init.ts'

const FILES = ['docs/deploy.md', ...globSync('docs/workflows/*.yml')]

test.each([
  [/npm run deploy -- (.*)/g, DEPLOY_HELP],
  [/tuf-edge init (.*)/g, INIT_HELP],
  [/tuf-edge doctor (.*)/g, DOCTOR_HELP],
])('%s', (command, help) => {
  const lines = FILES.flatMap((file) => [...readFileSync(file, 'utf8').matchAll(command)].map(([, words]) => words!))
  expect(lines.length).toBeGreaterThan(0)
  for (const line of lines) for (const [word] of line.matchAll(/--[a-z-]+/g)) expect(help).toContain(`${word} `)
})

test('a workflow has two spaces a level, no tab, and no value of a person’s making inside a command', () => {
  const workflows = FILES.filter((file) => file.endsWith('.yml'))
  expect(workflows).toHaveLength(2)
  for (const file of workflows) {
    const lines = readFileSync(file, 'utf8').split('\n')
    for (const line of lines) expect(line).toMatch(/^(?: {2})*(?:\S.*)?$/)
    // `${{ … }}` in `run:` is pasted into a shell: such values go through the environment.
    for (const line of lines.filter((line) => line.includes('run:'))) expect(line).not.toContain('${{')
  }
})
