// pypiserver as its documentation recommends it for speed (`cached-dir`), without authentication.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, temporaryFolder } from '../place.ts'
import { uploadOf } from '../uploads.ts'
import type { Peer } from './peer.ts'
import { daemon, environment } from './python.ts'

const VERSION = '2.4.1'

export async function startPypiserver(): Promise<Peer> {
  const commands = environment('pypiserver', [`pypiserver[passlib,cache]==${VERSION}`])
  const place = temporaryFolder()
  const wheels = join(place.path, 'wheels')
  mkdirSync(wheels)
  const port = await freePort()
  const options = ['-i', '127.0.0.1', '-p', String(port), '-a', '.', '-P', '.']
  const args = ['run', ...options, '--disable-fallback', '--backend', 'cached-dir', wheels]
  const url = `http://127.0.0.1:${port}`
  const server = await daemon('pypiserver', join(commands, 'pypi-server'), args, `${url}/`)
  return {
    name: `pypiserver ${VERSION}`,
    url,
    largeProjects: true,
    upload: (file) => uploadOf(file, '/'),
    page: (project) => `/simple/${project}/`,
    async stop() {
      await server.stop()
      place.remove()
    },
  }
}
