// devpi with its defaults (SQLite) and no mirror. Uploads carry a login token: with the password itself every request
// costs a slow hash, 190 ms, and would flatter us.
import { join } from 'node:path'
import { Http } from '../http.ts'
import { freePort, temporaryFolder } from '../place.ts'
import { basic, uploadOf } from '../uploads.ts'
import type { Peer } from './peer.ts'
import { command, daemon, environment, Missing } from './python.ts'

const VERSION = '6.19.1'
const USER = 'bench'
const PASSWORD = 'bench-password'

export async function startDevpi(): Promise<Peer> {
  const commands = environment('devpi', [`devpi-server==${VERSION}`])
  const place = temporaryFolder()
  const state = join(place.path, 'state')
  await command('devpi', join(commands, 'devpi-init'), ['--serverdir', state, '--no-root-pypi'])
  const port = await freePort()
  const args = ['--serverdir', state, '--host', '127.0.0.1', '--port', String(port), '--offline-mode']
  const url = `http://127.0.0.1:${port}`
  const server = await daemon('devpi', join(commands, 'devpi-server'), args, `${url}/+api`)
  const token = await makeIndex(url)
  return {
    name: `devpi ${VERSION}`,
    url,
    largeProjects: false,
    upload: (file) => uploadOf(file, `/${USER}/dev/`, basic(USER, token)),
    page: (project) => `/${USER}/dev/+simple/${project}/`,
    async stop() {
      await server.stop()
      place.remove()
    },
  }
}

/** Makes user and index; the login token. */
async function makeIndex(url: string): Promise<string> {
  const http = new Http(url, 1)
  const call = async (method: 'POST' | 'PUT', path: string, body: unknown, token?: string) => {
    const answer = await http.send({
      method,
      path,
      headers: {
        'Content-Type': 'application/json',
        Accept: 'application/json',
        ...(token === undefined ? {} : { 'X-Devpi-Auth': Buffer.from(`${USER}:${token}`).toString('base64') }),
      },
      body: [Buffer.from(JSON.stringify(body))],
    })
    if (answer.status >= 300) throw new Missing(`devpi: ${method} ${path} was answered ${answer.status}`)
    return JSON.parse(answer.bytes.toString()) as { result?: { password?: string } }
  }
  await call('PUT', `/${USER}`, { password: PASSWORD })
  const token = (await call('POST', '/+login', { user: USER, password: PASSWORD })).result?.password
  if (token === undefined) throw new Missing('devpi: login gave no token')
  await call('PUT', `/${USER}/dev`, { bases: [] }, token)
  http.close()
  return token
}
