// An upload as the face makes it: begin, put the bytes, stage. It tells how it was answered and never throws.
import { shardOf } from '../../tuf/bins.ts'
import { sha256Hex } from '../../tuf/digest.ts'
import { blobKey } from '../../tuf/layout.ts'
import type { Subject } from './matrix-subject.ts'

export interface Upload {
  project: string
  filename: string
  path: string
  page: string
  sha256: string
  bytes: Uint8Array
  version: string
}

/** 200 visible, 202 stored, 4xx refused, 503 not now; `none` is a connection that broke. */
export type Answer = 200 | 202 | 400 | 401 | 403 | 404 | 409 | 503 | 'none'

export async function describeUpload(project: string, version: string, content: string): Promise<Upload> {
  const bytes = new TextEncoder().encode(content)
  const shard = shardOf(project)
  const filename = `${project.replaceAll('-', '_')}-${version}-py3-none-any.whl`
  return {
    project,
    filename,
    path: `files/${shard}/${project}/${filename}`,
    page: `simple/${shard}/${project}/vnd.pypi.simple.v1.json`,
    sha256: await sha256Hex(bytes),
    bytes,
    version,
  }
}

export async function send(subject: Subject, upload: Upload): Promise<Answer> {
  const { project, filename, sha256, bytes, version } = upload
  const request = { repository: subject.name, token: subject.token, project, filename, sha256 }
  try {
    const begun = await subject.stub.begin(request)
    if (!begun.ok) return begun.status
    if (begun.kind === 'duplicate') {
      if (begun.visible) return 200
      const seen = await subject.stub.whenVisible(request)
      return seen.ok ? (seen.visible ? 200 : 202) : seen.status
    }
    const { n } = begun
    await subject.bucket.binding().put(blobKey(subject.place, sha256, n), bytes, { onlyIf: { etagDoesNotMatch: '*' } })
    const staged = await subject.stub.stage({
      ...request,
      n,
      size: bytes.length,
      version,
      release: version,
      filetype: 'bdist_wheel',
    })
    return staged.ok ? (staged.visible ? 200 : 202) : staged.status
  } catch {
    return 'none'
  }
}
