// The walls between the parts, proved on what is deployed: the two bundles and the two wrangler configurations.
import { describe, expect, test } from 'vitest'
import { unstable_readConfig } from 'wrangler'
import { bundle } from '../../cli/bundle.ts'

/** What these tests read of a checked configuration. */
interface Config {
  compatibility_date: string
  compatibility_flags: string[]
  routes?: unknown[]
  workers_dev: boolean
  preview_urls: boolean
  vars: Record<string, unknown>
  kv_namespaces: unknown[]
  durable_objects: { bindings: { class_name: string }[] }
  r2_buckets: { binding: string }[]
  services?: { service: string; entrypoint?: string }[]
  triggers: { crons?: string[] }
}
const readConfig = (config: string): Config => unstable_readConfig({ config }) as unknown as Config

const packageOf = (input: string): string | undefined => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1]

test('this runs on the Node that the bootstrap chose', () => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  expect(major > 22 || (major === 22 && minor >= 18)).toBe(true)
})

describe('publisher', () => {
  test('bundles its own code, tuf/ and pypi/, and nobody else’s but @noble', async () => {
    const { inputs } = await bundle('publisher')
    const packages = new Set(inputs.map(packageOf).filter((name) => name !== undefined))
    expect([...packages].filter((name) => !name.startsWith('@noble/'))).toEqual([])
    const own = inputs.filter((input) => packageOf(input) === undefined)
    expect(own.filter((input) => !/^(durable-objects|tuf|pypi)\//.test(input))).toEqual([])
    expect(own).toContain('durable-objects/publisher.ts')
  })

  test('has no route to the world', () => {
    const config = readConfig('durable-objects/wrangler.toml')
    expect(config.routes ?? []).toEqual([])
    expect(config.workers_dev).toBe(false)
    expect(config.preview_urls).toBe(false)
    expect(config.durable_objects.bindings.map((binding) => binding.class_name)).toEqual(['Publisher'])
    expect(config.triggers.crons).toEqual(['*/5 * * * *'])
  })
})

describe('face', () => {
  test('bundles no code of the publisher', async () => {
    const { inputs } = await bundle('face')
    expect(inputs.filter((input) => input.startsWith('durable-objects/') || input.startsWith('cli/'))).toEqual([])
  })

  test('holds a bucket and two doors: no key, no secret, no Durable Object', () => {
    const config = readConfig('wrangler.toml')
    expect(config.durable_objects.bindings).toEqual([])
    expect(config.vars).toEqual({})
    expect(config.kv_namespaces).toEqual([])
    expect(config.services?.map(({ service, entrypoint }) => [service, entrypoint])).toEqual([
      ['tuf-edge-publisher', 'Public'],
      ['tuf-edge-publisher', 'Member'],
    ])
    expect(config.r2_buckets.map((bucket) => bucket.binding)).toEqual(['BUCKET'])
    expect(config.workers_dev).toBe(false)
    expect(config.preview_urls).toBe(false)
  })
})

test('both scripts are built for the same runtime', () => {
  const [face, publisher] = ['wrangler.toml', 'durable-objects/wrangler.toml'].map(readConfig)
  expect(face!.compatibility_date).toBe(publisher!.compatibility_date)
  expect(face!.compatibility_flags).toEqual(publisher!.compatibility_flags)
})
