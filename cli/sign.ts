// `tuf-edge sign`: adds a person's signature to roots. What is signed is what the file says, unchanged; signatures that are
// there stay. The key is one of ours (a folder of `tuf-edge init`) or a private key in PEM, as python-tuf and go-tuf keep
// them, or in DER, as tuftool keeps all but RSA; only one that the root itself names is used.
import { constants, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { schemeOf } from '../tuf/algorithms.ts'
import { TufError } from '../tuf/errors.ts'
import { toHex } from '../tuf/hex.ts'
import type { Key } from '../tuf/keys.ts'
import { type Envelope, parseRoot, type Root } from '../tuf/metadata.ts'
import { writeEnvelope } from '../tuf/sign.ts'
import { verifySignature } from '../tuf/verify.ts'
import { writeWhole } from './file-store.ts'
import { KeyFolder } from './offline-keys.ts'
import { keyOf } from './pem-keys.ts'
import { secretFrom } from './secret-input.ts'
import { CommandError, say } from './terminal.ts'

export const SIGN_HELP = `tuf-edge sign ROOT … (--key FILE … | --keys DIR)

Adds signatures to root files, each with the key that the root names. Nothing else of the file changes.

  --key FILE              a private key in PEM (PKCS#8, PKCS#1 or SEC1) or DER (PKCS#8); repeated for several
  --keys DIR              the root keys of a folder that \`tuf-edge init\` made
  --passphrase-file FILE  file with the passphrase of the keys; else TUF_EDGE_PASSPHRASE, else you are asked
  --no-passphrase         the keys are not encrypted

Examples
  tuf-edge sign adopt-tools/5.root.json adopt-tools/6.root.json --key root-key.pem
`

export async function signCommand(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      key: { type: 'string', multiple: true },
      keys: { type: 'string' },
      'passphrase-file': { type: 'string' },
      'no-passphrase': { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    say(SIGN_HELP)
    return
  }
  if (positionals.length === 0) throw new CommandError('sign wants at least one root file.', 2)
  const { key: files = [], keys: folder } = values
  if (files.length > 0 === (folder !== undefined))
    throw new CommandError('sign wants either --key, once for each, or --keys.', 2)
  const ask = () =>
    secretFrom({ what: 'passphrase of the keys', variable: 'TUF_EDGE_PASSPHRASE', file: values['passphrase-file'] })
  const passphrase = values['no-passphrase'] ? null : ask
  const roots = positionals.map((path) => ({ path, root: read(path) }))
  const signers = folder === undefined ? await fromPem(files, passphrase) : await fromFolder(folder, passphrase)
  // All or none: every file is signed in memory before one is written.
  const signed = []
  for (const { path, root } of roots) signed.push({ path, root, ...(await withSignatures(path, root, signers)) })
  for (const { path, bytes } of signed) await writeWhole(path, bytes)
  for (const { path, root, made } of signed) {
    const { version, roles } = root.signed
    say(`${path}: root ${version}, signed with ${made.join(', ')}; it takes ${roles.root.threshold}`)
  }
}

/** First byte of any key in DER, and of none in PEM. */
const DER_SEQUENCE = 0x30

type Passphrase = (() => Promise<string>) | null
/** A private key before it is known under which keyid a root lists it. */
interface Holder {
  what: string
  identity: string
  sign(payload: Uint8Array, key: Key): Promise<Uint8Array>
}

async function withSignatures(path: string, root: Envelope<Root>, all: Holder[]) {
  const { keys, roles } = root.signed
  const listed = roles.root.keyids.flatMap((keyid) => keys.get(keyid) ?? [])
  const signatures = new Map(root.signatures.map((entry) => [entry.keyid, entry]))
  const made: string[] = []
  for (const holder of all) {
    const key = listed.find(({ identity }) => identity === holder.identity)
    if (!key) throw new CommandError(`${path} does not name ${holder.what} as a key of root: nothing was signed.`)
    const sig = toHex(await holder.sign(root.payload, key))
    if (!(await verifySignature(key, root.payload, sig)))
      throw new CommandError(`${holder.what} made a signature that clients refuse: nothing was signed.`)
    signatures.set(key.keyid, { keyid: key.keyid, sig })
    made.push(key.keyid.slice(0, 8))
  }
  return { bytes: writeEnvelope(root.payload, [...signatures.values()]), made }
}

async function fromFolder(path: string, passphrase: Passphrase): Promise<Holder[]> {
  const folder = new KeyFolder(path)
  const found = await folder.keysOf('root', passphrase ? await passphrase() : null)
  return found.map(({ key, signer }) => ({
    what: `the key ${key.keyid.slice(0, 8)}`,
    identity: key.identity!,
    sign: (payload) => signer.sign(payload),
  }))
}

async function fromPem(files: readonly string[], passphrase: Passphrase): Promise<Holder[]> {
  const holders: Holder[] = []
  for (const what of files) {
    const privateKey = await openPem(what, passphrase)
    holders.push({
      what,
      identity: identityOf(what, privateKey),
      sign: async (payload, key) => signWith(privateKey, payload, key),
    })
  }
  return holders
}

async function openPem(file: string, passphrase: Passphrase): Promise<KeyObject> {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch {
    throw new CommandError(`The key ${file} cannot be read.`)
  }
  if (bytes[0] === DER_SEQUENCE) return openDer(file, bytes)
  const pem = bytes.toString()
  const encrypted = pem.includes('ENCRYPTED')
  if (encrypted && !passphrase) throw new CommandError(`${file} is encrypted: leave --no-passphrase away.`)
  try {
    return createPrivateKey(encrypted ? { key: pem, passphrase: await passphrase!() } : pem)
  } catch (error) {
    if (error instanceof CommandError) throw error
    throw new CommandError(`${file} holds no private key in PEM${encrypted ? ' that this passphrase opens' : ''}.`)
  }
}

function openDer(file: string, key: Buffer): KeyObject {
  try {
    return createPrivateKey({ key, format: 'der', type: 'pkcs8' })
  } catch {
    throw new CommandError(`${file} holds no private key in DER that is not encrypted (PKCS#8).`)
  }
}

/** How `tuf/keys.ts` tells keys apart: by the key itself, whatever its keyid or spelling. */
function identityOf(file: string, privateKey: KeyObject): string {
  try {
    return keyOf(createPublicKey(privateKey), file).identity!
  } catch (error) {
    if (!(error instanceof TufError)) throw error
    throw new CommandError(`${file} cannot sign TUF metadata: ${error.message}`)
  }
}

function signWith(privateKey: KeyObject, payload: Uint8Array, key: Key): Uint8Array {
  const scheme = schemeOf(key.scheme)!
  if (scheme.kind === 'ed25519') return new Uint8Array(sign(null, payload, privateKey))
  const hash = scheme.hash.replace('-', '').toLowerCase()
  if (scheme.kind === 'ecdsa') return new Uint8Array(sign(hash, payload, privateKey))
  const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
  return new Uint8Array(sign(hash, payload, { key: privateKey, ...padding }))
}

function read(path: string): Envelope<Root> {
  try {
    return parseRoot(new Uint8Array(readFileSync(path)))
  } catch (error) {
    if (error instanceof TufError) throw new CommandError(`${path} is no root: ${error.message}`)
    throw new CommandError(`${path} cannot be read.`)
  }
}
