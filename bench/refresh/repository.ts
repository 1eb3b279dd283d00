// A TUF repository whose snapshot lists so many roles, and an HTTP server that answers from memory what a refresh asks.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { rootSigned, snapshotSigned, targetsSigned, timestampSigned } from '../../tuf/build.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { toHex } from '../../tuf/hex.ts'
import { ed25519Key } from '../../tuf/keys.ts'
import { ed25519Signer, type Signer, signRole } from '../../tuf/sign.ts'
import { binName } from '../../tuf/succinct.ts'

const YEAR_MS = 365 * 86_400_000

export interface ServedRepository {
  /** Ends in a slash. */
  readonly url: string
  readonly root: Uint8Array
  readonly snapshotBytes: number
  close(): Promise<void>
}

/** `roles` bins beside `targets`, by version alone, as this project lists them above 1,024. */
export async function serveRepository(roles: number): Promise<ServedRepository> {
  const signer = await newSigner()
  const role = { keyids: [signer.keyid], threshold: 1 }
  const common = { version: 1, expiresMs: Date.now() + YEAR_MS }
  const root = await signRole(
    rootSigned({
      ...common,
      keys: [signer.key],
      roles: { root: role, timestamp: role, snapshot: role, targets: role },
    }),
    [signer],
  )
  const targets = await signRole(targetsSigned({ ...common, targets: [] }), [signer])
  const names = Array.from({ length: roles }, (_, bin) => binName('bin', bin, 4))
  const meta = ['targets', ...names].map((name) => [name, { version: 1 }] as const)
  const snapshot = await signRole(snapshotSigned({ ...common, meta }), [signer])
  const named = { version: 1, length: snapshot.length, sha256: await sha256Hex(snapshot) }
  const timestamp = await signRole(timestampSigned({ ...common, snapshot: named }), [signer])

  const files = new Map([
    ['/1.root.json', root],
    ['/timestamp.json', timestamp],
    ['/1.snapshot.json', snapshot],
    ['/1.targets.json', targets],
  ])
  const server = createServer((request, response) => {
    const bytes = files.get(request.url!)
    response.writeHead(bytes ? 200 : 404, { 'content-length': bytes?.length ?? 0 }).end(bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    root,
    snapshotBytes: snapshot.length,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function newSigner(): Promise<Signer> {
  const pair = (await crypto.subtle.generateKey({ name: 'Ed25519' }, true, ['sign', 'verify'])) as CryptoKeyPair
  const raw = new Uint8Array((await crypto.subtle.exportKey('raw', pair.publicKey)) as ArrayBuffer)
  return ed25519Signer(pair.privateKey, ed25519Key(toHex(raw)))
}
