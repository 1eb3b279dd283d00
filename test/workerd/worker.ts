// The worker under test: the publisher's exports, and a face whose doors are loopback bindings to them. In production
// these are two scripts; here one isolate lets a test reach the object and the routes at once.

import type { Env as PublisherEnv } from '../../durable-objects/env.ts'
import { Member, Public, Publisher } from '../../durable-objects/index.ts'
import face from '../../workers/index.ts'

export { Member, Public, Publisher }

export default {
  fetch(request: Request, env: PublisherEnv, ctx: ExecutionContext) {
    const doors = (ctx as unknown as { exports: { Public: unknown; Member: unknown } }).exports
    return face.fetch!(
      request as never,
      { BUCKET: env.BUCKET, PUBLIC: doors.Public, MEMBER: doors.Member } as never,
      ctx,
    )
  },
}
