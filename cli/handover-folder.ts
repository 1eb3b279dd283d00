// What an adoption or a release keeps between its two commands, in a folder of whoever holds it:
//
//   handover.json       from where, to where, and the two keys that sign afterwards
//   trusted-root.json   the root that was given
//   N.root.json         the two roots for the owner to sign: the first names the present keys and the new ones, the second
//                       the new ones alone
//   seen/, roles/       what was read and verified; see adopt-source.ts
//
// Nothing here is secret. Invariant: a root that is there is never written again, because somebody may have signed it.
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { TufError } from '../tuf/errors.ts'
import { type JsonObject, parseJson } from '../tuf/json.ts'
import { keyObject, parseKey } from '../tuf/keys.ts'
import { type Envelope, parseRoot, type Root } from '../tuf/metadata.ts'
import { type NewKeys, nextRoots, whyNotNext } from '../tuf/next-roots.ts'
import { signRole } from '../tuf/sign.ts'
import { TrustedSet } from '../tuf/trusted.ts'
import { writeWhole } from './file-store.ts'
import { CommandError } from './terminal.ts'

const FORMAT = 'tuf-edge handover 1'

export interface Handover {
  format: typeof FORMAT
  name: string
  service: string
  /** Where the metadata is, ending in a slash. */
  source: string
  /** As metadata lists keys. */
  keys: { snapshot: object; timestamp: object }
  /** The root that the two follow. */
  root: number
}

/** One of the two roots as it lies in the folder. */
export interface NextRoot {
  readonly file: string
  readonly bytes: Uint8Array
  readonly envelope: Envelope<Root>
}

export class HandoverFolder {
  readonly path: string

  constructor(path: string) {
    this.path = resolve(path)
  }

  get trustedRoot(): Uint8Array | undefined {
    const file = join(this.path, 'trusted-root.json')
    return existsSync(file) ? new Uint8Array(readFileSync(file)) : undefined
  }

  read(): Handover | undefined {
    const file = join(this.path, 'handover.json')
    if (!existsSync(file)) return undefined
    try {
      const handover = JSON.parse(readFileSync(file, 'utf8')) as Handover
      if (handover.format === FORMAT) return handover
    } catch {
      // said below
    }
    throw new CommandError(`${file} is not of the format '${FORMAT}'.`)
  }

  async begin(
    { keys, ...rest }: Omit<Handover, 'format' | 'keys'> & { keys: NewKeys },
    trusted: Uint8Array,
  ): Promise<Handover> {
    const before = this.read()
    if (before && (before.name !== rest.name || before.service !== rest.service || before.source !== rest.source))
      throw new CommandError(
        `${this.path} is the handover of ${before.source} as ${before.name} at ${before.service}: name another --folder.`,
      )
    const listed = { snapshot: plain(keyObject(keys.snapshot)), timestamp: plain(keyObject(keys.timestamp)) }
    const whole = { format: FORMAT, ...rest, keys: listed } as const
    await writeWhole(join(this.path, 'trusted-root.json'), trusted)
    await writeWhole(join(this.path, 'handover.json'), Buffer.from(`${JSON.stringify(whole, undefined, 2)}\n`))
    return whole
  }

  /** Writes the two that follow `root`; those that are there and follow it stay, with their signatures. */
  async writeNext(root: Root, keys: NewKeys, expires: string | undefined): Promise<[NextRoot, NextRoot]> {
    const [both, alone] = nextRoots(root, keys, expires)
    return [await this.#write(root, keys, both, true), await this.#write(root, keys, alone, false)]
  }

  /** The two as they are now. @throws CommandError that says which of them lacks what */
  async signedNext(root: Envelope<Root>, keys: NewKeys): Promise<[NextRoot, NextRoot]> {
    const both = this.#next(root.signed, keys, true)
    const alone = this.#next(root.signed, keys, false)
    if (!both || !alone) throw new CommandError(`${this.path} lacks the two next roots: run this without --finish.`)
    const chain = await TrustedSet.start(root.bytes, 0)
    for (const { bytes, file } of [both, alone])
      try {
        await chain.updateRoot(bytes)
      } catch (error) {
        if (!(error instanceof TufError)) throw error
        throw new CommandError(`${file}: ${error.message} Sign it and run this again; nothing was changed.`)
      }
    return [both, alone]
  }

  async #write(root: Root, keys: NewKeys, signed: JsonObject, former: boolean): Promise<NextRoot> {
    const held = this.#next(root, keys, former)
    if (held) return held
    const text = new TextDecoder().decode(await signRole(signed, []))
    // For the eyes of who signs: what is signed are its canonical bytes, whatever the spaces.
    const bytes = Buffer.from(`${JSON.stringify(JSON.parse(text), undefined, 2)}\n`)
    await writeWhole(this.#file(root, former), bytes)
    return this.#next(root, keys, former)!
  }

  #next(root: Root, keys: NewKeys, former: boolean): NextRoot | undefined {
    const file = this.#file(root, former)
    if (!existsSync(file)) return undefined
    const bytes = new Uint8Array(readFileSync(file))
    try {
      const envelope = parseRoot(bytes)
      const why = whyNotNext(root, envelope.signed, keys, former)
      if (why === undefined) return { file, bytes, envelope }
      throw new CommandError(
        `${file} is not the root that this step needs: ${why}. Move it away and run this again without --finish.`,
      )
    } catch (error) {
      if (!(error instanceof TufError)) throw error
      throw new CommandError(`${file} is no root: ${error.message} Move it away and run this again without --finish.`)
    }
  }

  #file(root: Root, former: boolean): string {
    return join(this.path, `${root.version + (former ? 1 : 2)}.root.json`)
  }
}

export const keysOf = ({ keys }: Handover): NewKeys => ({
  snapshot: parseKey(parseJson(Buffer.from(JSON.stringify(keys.snapshot)))),
  timestamp: parseKey(parseJson(Buffer.from(JSON.stringify(keys.timestamp)))),
})

/** A key object holds strings and objects of strings. */
const plain = (key: JsonObject): object =>
  Object.fromEntries([...key].map(([name, value]) => [name, value instanceof Map ? plain(value) : value]))
