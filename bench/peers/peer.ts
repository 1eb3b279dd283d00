// Another index, measured in the same run with the same requests.
import type { Send } from '../http.ts'
import type { Context } from '../scenario.ts'
import type { Distribution } from '../uploads.ts'
import { startDevpi } from './devpi.ts'
import { startPypiserver } from './pypiserver.ts'
import { Missing } from './python.ts'

export interface Peer {
  /** With its version. */
  name: string
  url: string
  upload(file: Distribution): Send
  /** False: a thousand files of one project cannot be uploaded in bounded time. */
  largeProjects: boolean
  /** Path of a project's page. */
  page(project: string): string
  stop(): Promise<void>
}

/** Runs `measure` on one peer after the other, each alone on the machine; a missing one is said by name. */
export async function withPeers(context: Context, measure: (peer: Peer) => Promise<void>): Promise<void> {
  for (const start of [startPypiserver, startDevpi]) {
    let peer: Peer
    try {
      peer = await start()
    } catch (error) {
      if (!(error instanceof Missing)) throw error
      context.note(`skipped ${error.message}`)
      continue
    }
    try {
      await measure(peer)
    } finally {
      await peer.stop()
    }
  }
}
