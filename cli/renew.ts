// `tuf-edge renew`: people sign root, targets and bins again, so that they live for another year. What is signed is what
// the index serves now, verified from the root in the key folder on, with the next version and a later date: nobody who
// sits between can slip anything into it. Nothing is kept here but the newest root; repeating it makes the next version.
import { parseArgs } from 'node:util'
import { initStore, roleFile, type Store } from '../tuf/client.ts'
import { formatDate } from '../tuf/dates.ts'
import type { JsonObject } from '../tuf/json.ts'
import { parseRoot, parseTargets } from '../tuf/metadata.ts'
import { signRole } from '../tuf/sign.ts'
import { callApi } from './api.ts'
import { CALLER_HELP, CALLER_OPTIONS, DEFAULT_URL, mustHaveToken } from './caller.ts'
import { OFFLINE_ROLES, type OfflineRole } from './ceremony.ts'
import { pagePath } from './fetch.ts'
import { askPassphrase, OFFLINE_LIFE_MS, parseIndexUrl } from './init.ts'
import { KeyFolder, type OfflineKeys } from './offline-keys.ts'
import { CommandError, say } from './terminal.ts'
import { transportOf, verifyingClient } from './whole-index.ts'

export const RENEW_HELP = `tuf-edge renew [ROLE …] [--keys DIR] [--passphrase-file FILE | --no-passphrase] [--url URL] [--token-file FILE] [--json]

Signs root, targets and bins (or the roles that are named) again for another year, with the keys that \`tuf-edge init\`
made, and hands them to the index, which publishes them at once. Clients notice nothing. \`tuf-edge status\` says when each
of them expires; the index warns 30, 14, 7 and 1 days before. Takes a token with the scope admin.

  --keys DIR         folder of the offline keys (tuf-edge-keys)
  --passphrase-file FILE  file with the keys' passphrase; else TUF_EDGE_PASSPHRASE has it, or you are asked
  --no-passphrase    the keys are not encrypted
${CALLER_HELP}

Examples
  tuf-edge renew --url https://pypi.example.org
  tuf-edge renew targets bins --keys /media/usb/keys
`

interface Renewed {
  role: OfflineRole
  version: number
  expires: string
}

export async function renewCommand(args: string[]): Promise<void> {
  const text = { type: 'string' } as const
  const options = {
    ...CALLER_OPTIONS,
    keys: text,
    'passphrase-file': text,
    'no-passphrase': { type: 'boolean' },
  } as const
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
  if (values.help) {
    say(RENEW_HELP)
    return
  }
  const isRole = (name: string): name is OfflineRole => (OFFLINE_ROLES as readonly string[]).includes(name)
  const stranger = positionals.find((name) => !isRole(name))
  if (stranger !== undefined)
    throw new CommandError(`'${stranger}' is not signed by people: name some of ${OFFLINE_ROLES.join(', ')}.`, 2)
  const roles = positionals.length > 0 ? positionals.filter(isRole) : OFFLINE_ROLES
  const url = parseIndexUrl(values.url ?? DEFAULT_URL)
  const token = mustHaveToken(values['token-file'])
  const folder = new KeyFolder(values.keys ?? 'tuf-edge-keys')
  if (!folder.exists())
    throw new CommandError(`${folder.path} holds no keys of \`tuf-edge init\`: name their folder with --keys.`)
  const passphrase = values['no-passphrase'] ? null : await askPassphrase(folder, values['passphrase-file'])
  const { keys } = await folder.keys(url, '', passphrase)
  const renewed = await renew({ url, token, folder, keys, roles })
  if (values.json) say(JSON.stringify({ renewed }, undefined, 2))
  else for (const { role, version, expires } of renewed) say(`${role} ${version}, good until ${expires}`)
}

interface RenewOptions {
  url: string
  token: string
  folder: KeyFolder
  keys: OfflineKeys['keys']
  roles: readonly OfflineRole[]
}

/** @throws TufError when what the index serves does not verify; ApiError when it refuses */
export async function renew({ url, token, folder, keys, roles }: RenewOptions): Promise<Renewed[]> {
  const present = await presentFiles(url, token, folder)
  const expires = formatDate(Date.now() + OFFLINE_LIFE_MS)
  const renewed: Renewed[] = []
  const files: { role: OfflineRole; bytes: string }[] = []
  for (const role of roles) {
    const { raw, version: before } = present[role]
    const version = before + 1
    const signed: JsonObject = new Map([...raw, ['version', version], ['expires', expires]])
    const bytes = await signRole(
      signed,
      keys[role].map(({ signer }) => signer),
    )
    files.push({ role, bytes: Buffer.from(bytes).toString('base64') })
    renewed.push({ role, version, expires })
  }
  await callApi(url, 'PUT', '/api/metadata', { token, body: { files } })
  return renewed
}

/** Root, targets and bins as a client that begins with the folder's root comes to trust them. */
async function presentFiles(url: string, token: string, folder: KeyFolder) {
  const root = folder.root()
  if (!root) throw new CommandError(`${folder.path} has no root.json to begin with: put the one of the ceremony there.`)
  const files = new Map<string, Uint8Array>()
  const store: Store = {
    get: async (file) => files.get(file),
    put: async (file, bytes) => void files.set(file, bytes),
  }
  await initStore(store, root)
  const client = verifyingClient(url, store, transportOf(token))
  // Any page's path leads through targets and bins.
  await client.targetInfo(pagePath('tuf-edge'))
  const file = (role: OfflineRole) => files.get(roleFile(role))!
  return {
    root: parseRoot(file('root')).signed,
    targets: parseTargets(file('targets')).signed,
    bins: parseTargets(file('bins')).signed,
  }
}
