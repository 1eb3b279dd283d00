// Starts a program on a Node that can run this project, whatever Node the machine has.
//
//   node cli/bootstrap.mjs PROGRAM [ARGUMENT …]     PROGRAM: "node", or a command of node_modules/.bin
//
// Plain JavaScript for Node 18 and later: it runs before anything newer is known to exist.
// wrangler, Vitest and miniflare want Node 22, and running .ts files without a flag wants 22.18; npm 10 installs
// the right node-* package but links no .bin/node when several share the name, so the binary is looked up here.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** Path of a Node ≥ 22.18: the running one if it is new enough, else the one that npm installed. */
export function findNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 18)) return process.execPath
  const os = process.platform === 'win32' ? 'win' : process.platform
  for (const name of [`node-${os}-${process.arch}`, `node-bin-${os}-${process.arch}`]) {
    try {
      const folder = dirname(require.resolve(`${name}/package.json`))
      for (const file of ['bin/node', 'bin/node.exe', 'node.exe'])
        if (existsSync(join(folder, file))) return join(folder, file)
    } catch {
      // not the package of this machine
    }
  }
  process.stderr.write(
    `tuf-edge: this needs Node 22.18 or later, found ${process.versions.node}, and npm has no Node for ` +
      `${process.platform}-${process.arch}. Install Node 22 and run the same command again.\n`,
  )
  process.exit(1)
}

/** The script behind a command of node_modules/.bin, found through its package: npm's links are not relied on. */
function findProgram(name) {
  const owner = { biome: '@biomejs/biome', tsc: 'typescript' }[name] ?? name
  const folder = join(root, 'node_modules', owner)
  const { bin } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  return join(folder, typeof bin === 'string' ? bin : bin[name])
}

/** Runs PROGRAM with its arguments and ends as it ended. */
export function run([program, ...args]) {
  const node = findNode()
  const env = {
    ...process.env,
    PATH: [dirname(node), join(root, 'node_modules', '.bin'), process.env.PATH].join(delimiter),
    // Everything runs offline: no fetch of Request.cf data, no metrics, no update check.
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_HIDE_BANNER: 'true',
    NO_UPDATE_NOTIFIER: '1',
  }
  const script = program === 'node' ? [] : [findProgram(program)]
  const child = spawn(node, [...script, ...args], { stdio: 'inherit', env })
  // A terminal sends Ctrl-C to the whole group; the child decides when to end, and this process ends with it. Without a
  // terminal it was meant for one process, and is passed on.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => (signal !== 'SIGINT' || !process.stdin.isTTY) && child.kill(signal))
  child.on('error', (error) => {
    process.stderr.write(`tuf-edge: could not start ${node}: ${error.message}\n`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGINT' ? 130 : 1)))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) run(process.argv.slice(2))
