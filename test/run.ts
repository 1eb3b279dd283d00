// One door to the suites: `node test/run.ts unit|e2e|interop|check [vitest arguments]`.
import { spawnSync } from 'node:child_process'

const [suite, ...rest] = process.argv.slice(2)

function step(program: string, ...args: string[]): void {
  const done = spawnSync(process.execPath, ['cli/bootstrap.mjs', program, ...args], { stdio: 'inherit' })
  if (done.status !== 0) process.exit(done.status ?? 1)
}

switch (suite) {
  case 'unit':
  case 'e2e':
  case 'interop':
    step('vitest', 'run', '--config', `test/${suite}.config.ts`, ...rest)
    break
  case 'check':
    step('wrangler', 'types', '--check', '-c', 'wrangler.toml', '-c', 'durable-objects/wrangler.toml')
    step('tsc', '-p', 'tsconfig.json')
    step('tsc', '-p', 'cli/tsconfig.json')
    step('biome', 'check', '--error-on-warnings', ...rest, '.')
    break
  default:
    process.stderr.write('usage: node test/run.ts unit|e2e|interop|check\n')
    process.exit(2)
}
