// `npm run deploy`: both scripts, the publisher first, because the face's doors must exist before it opens.
// Arguments are passed on to wrangler; `npm run deploy -- --dry-run` builds both and uploads nothing.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const bootstrap = fileURLToPath(new URL('bootstrap.mjs', import.meta.url))
for (const config of ['durable-objects/wrangler.toml', 'wrangler.toml']) {
  const args = [bootstrap, 'wrangler', 'deploy', '--config', config, ...process.argv.slice(2)]
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}
