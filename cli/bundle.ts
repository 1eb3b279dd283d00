// Bundles the two scripts as they are deployed. The paths are the `main` of the two wrangler configurations.
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

export type Script = 'face' | 'publisher'

const ENTRY: Record<Script, string> = {
  face: fileURLToPath(new URL('../workers/index.ts', import.meta.url)),
  publisher: fileURLToPath(new URL('../durable-objects/index.ts', import.meta.url)),
}

export interface Bundle {
  code: string
  /** Every source file that went in, relative to the project. */
  inputs: string[]
}

/** One ES module for workerd, with only `cloudflare:*` left to import. `entry` is another source file to begin with. */
export async function bundle(script: Script, entry = ENTRY[script]): Promise<Bundle> {
  const result = await build({
    entryPoints: [entry],
    absWorkingDir: fileURLToPath(new URL('..', import.meta.url)),
    bundle: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'neutral',
    target: 'es2024',
    mainFields: ['module', 'main'],
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*'],
    logLevel: 'warning',
  })
  return { code: result.outputFiles[0]!.text, inputs: Object.keys(result.metafile.inputs) }
}
