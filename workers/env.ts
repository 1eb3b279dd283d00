// What the face is given: a bucket and two doors. No key, no secret, no Durable Object binding.
import type { Member, Public } from '../durable-objects/entrypoints.ts'

export interface Env {
  BUCKET: R2Bucket
  PUBLIC: Service<typeof Public>
  MEMBER: Service<typeof Member>
}
