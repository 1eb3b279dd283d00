// The commands of the README, the guides and the example workflows say words that the commands know.
import { globSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { expect, test } from 'vitest'

const FILES = ['README.md', ...globSync('docs/*.md'), ...globSync('docs/workflows/*.yml')]
/** What every command takes, and no help lists. */
const OF_ALL = ['--help', '--version']

/** Command → its help, as the modules of the command line export it. */
async function helps(): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const file of globSync('cli/*.ts')) {
    if (!/^export const [A-Z_]*HELP = /m.test(readFileSync(file, 'utf8'))) continue
    const module = (await import(resolve(file))) as Record<string, unknown>
    for (const text of Object.values(module))
      if (typeof text === 'string')
        for (const [, words] of text.matchAll(/^(?:tuf-edge|npm run) ([a-z|]+)/gm))
          for (const word of words!.split('|')) found.set(word, `${found.get(word) ?? ''}${text}`)
  }
  return found
}

test('every line says words that its command knows', async () => {
  const known = await helps()
  const seen = new Set<string>()
  for (const file of FILES)
    for (const [, word, rest] of readFileSync(file, 'utf8')
      .replaceAll('\\\n', ' ')
      .matchAll(/(?:^|[ `=])(?:tuf-edge|\S+\/tuf-edge\.mjs|npm run(?= deploy -- )) ([a-z]+)((?: [^`\n]*)?)/gm)) {
      const options = [...rest!.split(/ [>|#] /)[0]!.matchAll(/(?<= )--[a-z][a-z-]*/g)].map(([option]) => option)
      if (options.length === 0) continue
      const help = known.get(word!)
      expect(help, `${file}: tuf-edge ${word}`).toBeDefined()
      seen.add(word!)
      for (const option of options)
        if (!OF_ALL.includes(option))
          expect(help, `${file}: tuf-edge ${word}${rest}`).toMatch(new RegExp(`${option}(?![a-z-])`))
    }
  expect([...seen]).toEqual(
    expect.arrayContaining(['deploy', 'init', 'token', 'import', 'settings', 'resume', 'publisher', 'fetch']),
  )
})

test('a workflow has two spaces a level, no tab, and no value of a person’s making inside a command', () => {
  const workflows = globSync('docs/workflows/*.yml')
  expect(workflows).toHaveLength(2)
  for (const file of workflows) {
    const lines = readFileSync(file, 'utf8').split('\n')
    for (const line of lines) expect(line).toMatch(/^(?: {2})*(?:\S.*)?$/)
    // `${{ … }}` in `run:` is pasted into a shell: such values go through the environment.
    for (const line of lines.filter((line) => line.includes('run:'))) expect(line).not.toContain('${{')
  }
})
