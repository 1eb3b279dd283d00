// The README's lines, and the guides', to be typed as they stand: only the port is another.
import { readFileSync } from 'node:fs'

const README_PORT = /127\.0\.0\.1:8787/g

/** The code blocks of a section, in order, as they would be typed against a service on `port`. */
export function codeOf(section: string, port: number, file = 'README.md'): string[] {
  const text = readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
  const start = text.indexOf(`\n## ${section}\n`)
  if (start < 0) throw new Error(`${file} has no section "${section}".`)
  const rest = text.slice(start + 4)
  const end = rest.indexOf('\n## ')
  const body = end < 0 ? rest : rest.slice(0, end)
  return [...body.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(([, code]) =>
    code!.replace(README_PORT, `127.0.0.1:${port}`),
  )
}
