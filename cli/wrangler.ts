// Runs wrangler, which alone speaks to Cloudflare. Invariant: what is secret goes in through standard input; no argument
// and no file holds it, and wrangler's own debug log, which could, is not written.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const BOOTSTRAP = fileURLToPath(new URL('bootstrap.mjs', import.meta.url))

export interface WranglerCall {
  args: string[]
  /** Written to standard input, which is then closed. */
  input?: string
  /** What wrangler says goes to the person, and what the person types to wrangler; else it is caught. */
  shown?: boolean
  /** Additions to the environment. */
  env?: Record<string, string>
}

export interface WranglerResult {
  code: number
  /** Empty if it was shown. */
  stdout: string
  stderr: string
}

export type Wrangler = (call: WranglerCall) => Promise<WranglerResult>

export const runWrangler: Wrangler = ({ args, input, shown, env }) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [BOOTSTRAP, 'wrangler', ...args], {
      stdio: [
        shown && input === undefined ? 'inherit' : 'pipe',
        shown ? 'inherit' : 'pipe',
        shown ? 'inherit' : 'pipe',
      ],
      env: { ...process.env, ...env, WRANGLER_WRITE_LOGS: 'false' },
    })
    let [stdout, stderr] = ['', '']
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    // A wrangler that ends before it has read its input is judged by its exit code.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input ?? '')
    child.on('error', reject)
    child.on('close', (code) => resolve({ code: code ?? 1, stdout, stderr }))
  })
