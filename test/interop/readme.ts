// The README's lines, to be typed as they stand: only the port is another.
import { readFileSync } from 'node:fs'

const text = readFileSync(new URL('../../README.md', import.meta.url), 'utf8')
const README_PORT = /127\.0\.0\.1:8787/g

/** The code blocks of a section, in order, as they would be typed against a service on `port`. */
export function codeOf(section: string, port: number): string[] {
  const start = text.indexOf(`\n## ${section}\n`)
  if (start < 0) throw new Error(`README.md has no section "${section}".`)
  const rest = text.slice(start + 4)
  const body = rest.slice(0, rest.indexOf('\n## '))
  return [...body.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(([, code]) =>
    code!.replace(README_PORT, `127.0.0.1:${port}`),
  )
}
