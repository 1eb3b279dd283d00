// An account at Cloudflare as `npm run deploy` sees it through wrangler: answers and error texts are those of wrangler
// 4.155 (test/e2e/deploy.test.ts runs the real one). It keeps every call, so that a test can look for what was said where.
import type { Wrangler, WranglerCall, WranglerResult } from '../../../cli/wrangler.ts'

const ok = (stdout = ''): WranglerResult => ({ code: 0, stdout, stderr: '' })
const bad = (stderr: string): WranglerResult => ({ code: 1, stdout: '', stderr })

export class Cloud {
  loggedIn = true
  accounts = [{ id: 'acc1', name: 'One' }]
  /** `name` or `name/jurisdiction`. */
  readonly buckets = new Set<string>()
  /** `bucket/key`. */
  readonly objects = new Set<string>()
  readonly scripts = new Map<string, Map<string, string>>()
  readonly calls: WranglerCall[] = []
  /** Calls that begin so fail, the change not made. */
  failing: string | undefined

  readonly wrangler: Wrangler = async (call) => {
    this.calls.push(call)
    const words = call.args.join(' ')
    if (this.failing !== undefined && words.startsWith(this.failing)) return bad('fetch failed')
    return this.#answer(call, words)
  }

  /** The calls without their options: what was done, in order. */
  steps(): string[] {
    return this.calls.map(({ args }) => {
      const config = args[args.indexOf('--config') + 1]?.split('/').at(-2)
      return args[0] === 'deploy' ? `deploy ${config}` : args.slice(0, args[0] === 'r2' ? 3 : 2).join(' ')
    })
  }

  changes(): string[] {
    return this.steps().filter((step) => /^(deploy|secret bulk|r2 bucket create)/.test(step))
  }

  #answer({ args, input }: WranglerCall, words: string): WranglerResult {
    const option = (name: string) => (args.includes(name) ? args[args.indexOf(name) + 1]! : undefined)
    const place = (name: string) => [name, option('--jurisdiction')].filter(Boolean).join('/')
    const script = option('--name') ?? ''
    if (words.startsWith('whoami'))
      return this.loggedIn
        ? ok(JSON.stringify({ loggedIn: true, accounts: this.accounts }))
        : { code: 1, stdout: '{"loggedIn":false}', stderr: '' }
    if (words.startsWith('r2 bucket info'))
      return this.buckets.has(place(args[3]!))
        ? ok('{}')
        : bad('A request failed.\n  The specified bucket does not exist. [code: 10006]')
    if (words.startsWith('r2 bucket create')) {
      this.buckets.add(place(args[3]!))
      return ok()
    }
    if (words.startsWith('r2 object get'))
      return this.objects.has(args[3]!) ? ok('{}') : bad('The specified key does not exist.')
    if (words.startsWith('secret list')) {
      const secrets = this.scripts.get(script)
      if (!secrets) return bad(`Worker "${script}" not found.`)
      return ok(JSON.stringify([...secrets.keys()].map((name) => ({ name, type: 'secret_text' }))))
    }
    if (words.startsWith('secret bulk')) {
      for (const [name, value] of Object.entries(JSON.parse(input!))) this.scripts.get(script)!.set(name, String(value))
      return ok()
    }
    if (words.startsWith('deploy')) {
      const name = option('--config')!.split('/').at(-2)!
      if (!this.scripts.has(name)) this.scripts.set(name, new Map())
      return ok()
    }
    throw new Error(`wrangler ${words} was not expected`)
  }
}
