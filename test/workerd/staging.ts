// Puts a file into a repository as the face does, without a face: begin, put, stage.

import type { StageAnswer } from '../../durable-objects/rpc.ts'
import { shardOf } from '../../tuf/bins.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { blobKey, blobProvenanceKey } from '../../tuf/layout.ts'
import { bindings, type TestRepository } from './repository.ts'

export interface Staged {
  path: string
  page: string
  sha256: string
  bytes: Uint8Array
  answer: StageAnswer
}

/** A wheel name for `project` and bytes that are the given text. */
export async function stageFile(
  repository: TestRepository,
  token: string,
  project: string,
  version: string,
  content = `${project} ${version}`,
  { put = true, provenance }: { put?: boolean /** Text of the object. */; provenance?: string } = {},
): Promise<Staged> {
  const bytes = new TextEncoder().encode(content)
  const sha256 = await sha256Hex(bytes)
  const filename = `${project.replaceAll('-', '_')}-${version}-py3-none-any.whl`
  const request = { repository: repository.name, token, project, filename, sha256 }
  const begun = await repository.member.begin(request)
  if (!begun.ok) throw new Error(begun.message)
  const n = begun.kind === 'store' ? begun.n : 1
  if (begun.kind === 'store' && put) await bindings.BUCKET.put(blobKey(repository.place, sha256, n), bytes)
  if (provenance !== undefined) await bindings.BUCKET.put(blobProvenanceKey(repository.place, sha256, n), provenance)
  const answer = await repository.member.stage({
    ...request,
    n,
    size: bytes.length,
    version,
    release: version,
    filetype: 'bdist_wheel',
    ...(provenance === undefined
      ? {}
      : { provenance: { sha256: await sha256Hex(new TextEncoder().encode(provenance)) } }),
  })
  const shard = shardOf(project)
  return {
    path: `files/${shard}/${project}/${filename}`,
    page: `simple/${shard}/${project}/vnd.pypi.simple.v1.json`,
    sha256,
    bytes,
    answer: { ...answer } as StageAnswer,
  }
}
