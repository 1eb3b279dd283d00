// A publisher that can be filled: rows as if they had been accepted and published long ago, with the real MAC key, so
// that a plan takes them. Their bytes are not in the bucket; nothing reads them. Bundled by the bench alone, never by
// the product.
//
//   POST /  {"from": 0, "to": 500, "files": 8}   projects seed-0 … seed-499, eight files and two pages each

import { Custody } from '../../durable-objects/custody.ts'
import type { Env } from '../../durable-objects/env.ts'
import { binOfShard } from '../../durable-objects/ledger/bins.ts'
import { insertFile, setFileState } from '../../durable-objects/ledger/files.ts'
import { pageMac, setLivePage } from '../../durable-objects/ledger/pages.ts'
import { run } from '../../durable-objects/ledger/sql.ts'
import { pagePath } from '../../durable-objects/publication/plan.ts'
import { Publisher as Product } from '../../durable-objects/publisher.ts'
import { shardOf } from '../../tuf/bins.ts'
import { sha256HexSync } from '../../tuf/digest.ts'

export { Member, Public } from '../../durable-objects/index.ts'

interface Batch {
  from: number
  to: number
  /** Files of each project. */
  files: number
}

export class Publisher extends Product {
  async seed({ from, to, files }: Batch): Promise<void> {
    const { sql } = this.ctx.storage
    const macKey = new Custody(sql, this.env.WRAPPING_SECRET).macKey()
    this.ctx.storage.transactionSync(() => {
      for (let i = from; i < to; i++) {
        const project = `seed-${i}`
        const shard = shardOf(project)
        const bin = binOfShard(shard)
        const created = Date.now()
        run(
          sql,
          'INSERT INTO projects (name, shard, bin, created, owner) VALUES (?, ?, ?, ?, ?)',
          project,
          shard,
          bin,
          created,
          'seed',
        )
        for (let k = 0; k < files; k++) {
          const version = `1.${k}`
          const filename = `${project.replace('-', '_')}-${version}-py3-none-any.whl`
          const sha256 = sha256HexSync(filename)
          insertFile(sql, macKey, {
            project,
            filename,
            bin,
            sha256,
            size: 2_048,
            n: 1,
            version,
            release: version,
            filetype: 'bdist_wheel',
            uploaded: created,
            requires_python: '>=3.8',
            metadata_sha256: sha256,
            metadata_size: 120,
            yanked: null,
            provenance_sha256: null,
          })
          setFileState(sql, project, filename, 'live')
          run(sql, "INSERT INTO blobs (sha256, n, state, created) VALUES (?, 1, 'referenced', ?)", sha256, created)
        }
        for (const form of ['json', 'html'] as const) {
          const path = pagePath(shard, project, form)
          const page = { path, bin, sha256: sha256HexSync(path), length: 3_000 }
          setLivePage(sql, page, null, pageMac(macKey, page))
        }
      }
    })
  }
}

export default {
  async fetch(request, env) {
    await env.PUBLISHER.getByName('main').seed((await request.json()) as Batch)
    return new Response('seeded')
  },
} satisfies ExportedHandler<Omit<Env, 'PUBLISHER'> & { PUBLISHER: DurableObjectNamespace<Publisher> }>
