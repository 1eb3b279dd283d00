// The TUF clients, all driven alike: trust a root, keep a state folder, refresh, download.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestContext } from 'vitest'
import { need, pinnedVersions } from './environments.ts'

const here = dirname(fileURLToPath(import.meta.url))

/** The four general clients; tough has a suite of its own (Rust builds for minutes). */
export const TUF_CLIENTS = ['python-tuf', 'go-tuf', 'tuf-js'] as const
export type TufClient = (typeof TUF_CLIENTS)[number] | 'tough'

/** One line of a driver. */
export interface Line {
  ok: boolean
  /** Of a refresh. */
  version?: { root: number; timestamp: number; snapshot: number; targets: number }
  /** Of a download. */
  target?: string
  path?: string
  sha256?: string
  /** `not found`, or the client's own words with the kind of error first. */
  error?: string
}

export interface Result {
  /** 0: everything asked for is there; 1: something is not. */
  status: number
  lines: Line[]
}

export interface Repository {
  /** Path of the trusted root, or its bytes. */
  root: string | Uint8Array
  metadataUrl: string
  targetsUrl: string
  /** For a private repository: a token that reads it. */
  token?: string
}

/** A client over one state folder: the same folder again is the warm client, and the one that must notice a rollback. */
export interface Driver {
  readonly name: TufClient
  refresh(options?: { time?: string }): Promise<Result>
  download(names: string[], options?: { time?: string }): Promise<Result>
}

/** A driver of the client, or the test is skipped by the client's name. `folder` is its own, created if need be. */
export async function driver(
  context: TestContext,
  name: TufClient,
  repository: Repository,
  folder: string,
): Promise<Driver> {
  const [program, ...first] = await command(context, name)
  mkdirSync(folder, { recursive: true })
  let root = repository.root
  if (typeof root !== 'string') {
    writeFileSync(join(folder, 'trusted-root.json'), root)
    root = join(folder, 'trusted-root.json')
  }
  const run = (words: string[], time?: string): Promise<Result> => {
    const options = {
      root: root as string,
      'metadata-url': repository.metadataUrl,
      'targets-url': repository.targetsUrl,
      state: join(folder, 'state'),
      out: join(folder, 'out'),
      ...(time && { time }),
    }
    const args = Object.entries(options).flatMap(([key, value]) => [`--${key}`, value])
    return drive(program!, [...first, ...args, ...words], repository.token)
  }
  return {
    name,
    refresh: ({ time } = {}) => run(['refresh'], time),
    download: (names, { time } = {}) => run(['download', ...names], time),
  }
}

async function command(context: TestContext, name: TufClient): Promise<string[]> {
  switch (name) {
    case 'python-tuf': {
      const ready = await need(context, 'tuf')
      return [ready.command('python'), join(here, 'clients', 'pythontuf.py')]
    }
    case 'go-tuf':
      return [(await need(context, 'gotuf')).command('driver')]
    case 'tough':
      return [(await need(context, 'tough')).command('tough-driver')]
    case 'tuf-js':
      return [process.execPath, join(here, 'clients', 'tufjs.ts')]
  }
}

function drive(program: string, args: string[], token?: string): Promise<Result> {
  const { TUF_EDGE_TOKEN: _, ...rest } = process.env
  const env = token === undefined ? rest : { ...rest, TUF_EDGE_TOKEN: token }
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: 120_000 })
    let output = ''
    let complaint = ''
    child.stdout.on('data', (bytes) => (output += bytes))
    child.stderr.on('data', (bytes) => (complaint += bytes))
    child.on('error', reject)
    child.on('close', (status) => {
      if (status !== 0 && status !== 1) return reject(new Error(`${program} ended with ${status}: ${complaint}`))
      try {
        const lines = output.split('\n').filter(Boolean)
        resolve({ status, lines: lines.map((line) => JSON.parse(line) as Line) })
      } catch {
        reject(new Error(`${program} printed no protocol: ${output}${complaint}`))
      }
    })
  })
}

/** The version of a client that the committed files pin. */
export function clientVersion(name: TufClient): string {
  const read = (...path: string[]): string => readFileSync(join(here, ...path), 'utf8')
  switch (name) {
    case 'python-tuf':
      return pinnedVersions().tuf!
    case 'go-tuf':
      return /go-tuf\/v2 v(\S+)/.exec(read('clients', 'gotuf', 'go.mod'))![1]!
    case 'tough':
      return /name = "tough"\nversion = "(.+)"/.exec(read('clients', 'tough', 'Cargo.lock'))![1]!
    case 'tuf-js':
      return JSON.parse(read('..', '..', 'package.json')).devDependencies['tuf-js']
  }
}
