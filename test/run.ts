// One door to the suites: `node test/run.ts unit|e2e|import|interop|tough|conformance|model|crash|fuzz|check|types [arguments]`.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'

const [suite, ...rest] = process.argv.slice(2)
const RUNTIME_TYPES = 'worker-configuration.d.ts'

function step(program: string, ...args: string[]): void {
  const done = spawnSync(process.execPath, ['cli/bootstrap.mjs', program, ...args], { stdio: 'inherit' })
  if (done.status !== 0) process.exit(done.status ?? 1)
}

/** Types of the pinned workerd at our compatibility date; generated, 600 kB, not in the repository. */
const types = () => step('wrangler', 'types', '--include-env=false', '-c', 'wrangler.toml', RUNTIME_TYPES)

switch (suite) {
  case 'unit':
  case 'e2e':
  case 'import':
  case 'interop':
  case 'tough':
    step('vitest', 'run', '--config', `test/${suite}.config.ts`, ...rest)
    break
  case 'conformance':
    step('node', 'test/conformance/suite.ts', ...rest)
    break
  case 'model':
    process.env.MODEL = rest.join(' ')
    step('vitest', 'run', '--config', 'test/unit.config.ts', 'test/workerd/model')
    break
  case 'crash':
    step('node', 'test/crash/main.ts', ...rest)
    break
  case 'fuzz': {
    // --seconds N a target, --seed N; what else is said goes to vitest, such as the name of a test file.
    const { values, positionals } = parseArgs({
      args: rest,
      options: { seconds: { type: 'string', default: '60' }, seed: { type: 'string' } },
      allowPositionals: true,
    })
    process.env.FUZZ_SECONDS = values.seconds
    if (values.seed !== undefined) process.env.FUZZ_SEED = values.seed
    step('vitest', 'run', '--config', 'test/fuzz.config.ts', ...positionals)
    break
  }
  case 'types':
    types()
    break
  case 'check':
    if (!existsSync(RUNTIME_TYPES)) types()
    step('tsc', '-p', 'tsconfig.json')
    step('tsc', '-p', 'cli/tsconfig.json')
    step('biome', 'check', '--error-on-warnings', ...rest, '.')
    step('node', 'cli/deploy.ts', '--dry-run')
    break
  default:
    process.stderr.write(
      'usage: node test/run.ts unit|e2e|import|interop|tough|conformance|model|crash|fuzz|check|types\n',
    )
    process.exit(2)
}
