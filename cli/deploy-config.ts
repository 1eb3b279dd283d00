// The two configurations as they are deployed: those of the repository with what this operator chose. They are written
// below `dist/`, hold no secret, and are made anew by every run.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { experimental_readRawConfig } from 'wrangler'
import type { Script } from './bundle.ts'

const PROJECT = fileURLToPath(new URL('..', import.meta.url))
const SOURCES: Record<Script, string> = {
  face: join(PROJECT, 'wrangler.toml'),
  publisher: join(PROJECT, 'durable-objects', 'wrangler.toml'),
}

/** What an operator chooses once; the same words belong to every later deployment. */
export interface Placement {
  /** Name of the face and of the bucket; the publisher is NAME-publisher. */
  name: string
  /** Host name of the index, in a zone of the account. */
  domain?: string
  /** Where bucket and ledger must lie, such as `eu`. */
  jurisdiction?: string
  /** Where bucket and ledger are made if nothing forces them elsewhere, such as `weur`. */
  location?: string
  /** The bucket's own address, where direct uploads may be put; its credentials are secrets of the publisher. */
  s3Endpoint?: string
}

/** What an S3 client calls the account. */
export const s3EndpointOf = (account: string, jurisdiction: string | undefined): string =>
  `https://${account}${jurisdiction ? `.${jurisdiction}` : ''}.r2.cloudflarestorage.com`

export const scriptName = ({ name }: Placement, script: Script): string =>
  script === 'face' ? name : `${name}-publisher`

/** What is read and changed of a configuration; the rest is passed on as it is. */
interface RawConfig {
  main: string
  r2_buckets: { binding: string; bucket_name: string; jurisdiction?: string }[]
  services?: { binding: string; service: string; entrypoint?: string }[]
  vars?: Record<string, string>
}

/** The configuration of one script, as an object. Its `main` is absolute. */
export function configOf(script: Script, placement: Placement): Record<string, unknown> {
  const { name, domain, jurisdiction, location, s3Endpoint } = placement
  const raw = experimental_readRawConfig({ config: SOURCES[script] }).rawConfig as unknown as RawConfig
  return {
    ...raw,
    name: scriptName(placement, script),
    main: resolve(dirname(SOURCES[script]), raw.main),
    r2_buckets: raw.r2_buckets.map((bucket) => ({
      ...bucket,
      bucket_name: name,
      ...(jurisdiction && { jurisdiction }),
    })),
    ...(raw.services && {
      services: raw.services.map((service) => ({ ...service, service: scriptName(placement, 'publisher') })),
    }),
    ...(script === 'face' && domain && { routes: [{ pattern: domain, custom_domain: true }] }),
    ...(script === 'publisher' && {
      vars: {
        ...raw.vars,
        ...(jurisdiction && { JURISDICTION: jurisdiction }),
        ...(location && { LOCATION_HINT: location }),
        ...(s3Endpoint && { R2_S3_ENDPOINT: s3Endpoint, R2_BUCKET_NAME: name }),
      },
    }),
  }
}

/** Writes the configuration and answers where, relative to the working folder. */
export function writeConfig(script: Script, placement: Placement): string {
  const config = configOf(script, placement)
  const folder = join(PROJECT, 'dist', 'deploy', scriptName(placement, script))
  mkdirSync(folder, { recursive: true })
  const main = relative(folder, config.main as string)
  const file = join(folder, 'wrangler.json')
  writeFileSync(file, `${JSON.stringify({ ...config, main }, undefined, 2)}\n`)
  return relative(process.cwd(), file)
}
