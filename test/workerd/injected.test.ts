// What PEP 458's readers asked and nobody answered. Whoever writes into the bucket, or into a copy of the ledger's tables
// without the wrapping secret, forces every kind of signing there is: nothing that was not accepted is ever signed, and
// no reader, TUF or plain, is served it. About two seconds a case.
import { describe, expect, test } from 'vitest'
import { sha256Hex } from '../../tuf/digest.ts'
import { pageKey } from '../../tuf/layout.ts'
import { objectBytes, presentOf, publish } from './face-harness.ts'
import {
  accept,
  BIN,
  bucket,
  door,
  EVIL,
  encode,
  enqueue,
  eventually,
  evilPage,
  expectUnserved,
  insertFile,
  insertProject,
  keysUnder,
  listAgain,
  MONTH,
  neighbour,
  newToken,
  pathOf,
  STRANGER,
  signOwnView,
  survives,
  whileHeld,
} from './injected-stage.ts'
import { newReader } from './reading.ts'

/** What is changed of an accepted file: ?1 is the attacker's digest, ?2 the project. */
const CHANGES: [string, string][] = [
  ['digest', 'UPDATE files SET sha256 = ?1 WHERE project = ?2'],
  ['metadata', 'UPDATE files SET metadata_sha256 = ?1 WHERE project = ?2'],
  ['provenance', 'UPDATE files SET provenance_sha256 = ?1 WHERE project = ?2'],
  [
    'name',
    "UPDATE files SET filename = project || '-6.6-py3-none-any.whl', version = '6.6' WHERE project = ?2 AND ?1 <> ''",
  ],
  ['project', `UPDATE files SET project = '${neighbour('renamed')}' WHERE project = ?2 AND ?1 <> ''`],
  ['shard', "UPDATE projects SET shard = 'ffff' WHERE name = ?2 AND ?1 <> ''"],
  ['bin', "UPDATE projects SET bin = 'bin-00' WHERE name = ?2 AND ?1 <> ''"],
  ['blob', 'UPDATE blobs SET sha256 = ?1 WHERE sha256 = (SELECT sha256 FROM files WHERE project = ?2)'],
  [
    'begun',
    "UPDATE blobs SET state = 'begun' WHERE sha256 = (SELECT sha256 FROM files WHERE project = ?2) AND ?1 <> ''",
  ],
]

describe('can an attacker force a rotation and so have an injected package signed? (asked of PEP 458)', () => {
  describe('by objects put into the bucket', () => {
    test('files and pages under new keys', async () => {
      const stage = await survives(async () => undefined, [MONTH])
      const reader = await newReader({ place: stage.repository.place, root: stage.repository.signed.root })
      for (const { path, sha256 } of stage.accepted) expect(await sha256Hex((await reader.read(path))!)).toBe(sha256)
    })

    test('the bytes of a file, of its page, of its bin and of the snapshot changed', async () => {
      await survives(async ({ repository: { place }, alpha, evil }) => {
        await bucket.put(alpha.blob, EVIL)
        for (const key of await keysUnder(place, 'pages/'))
          await bucket.put(key, key.endsWith('json') ? evil.page : evil.html)
        for (const key of await keysUnder(place, 'tuf/'))
          if (/bin-|\.snapshot/.test(key)) await bucket.put(key, `{"evil":"${evil.sha256}"}`)
      })
    })

    test.each([
      ['the next', 1],
      ['a far', 999],
    ])('a whole view under %s version, signed by keys of their own, with a root of their own', async (_, ahead) => {
      await survives(async (stage) => signOwnView(stage, (await presentOf(stage.repository)).snapshot.version + ahead))
    })
  })

  describe('by rows changed in the ledger without its secret', () => {
    test('rows of files, projects, blobs and of the queue, inserted and changed', async () => {
      await survives(async (stage) => {
        const { sql, repository, accepted, evil } = stage
        for (const [what, query] of CHANGES) {
          const project = neighbour(`victim-${what}-`)
          accepted.push(await publish(repository, project, '1.0', encode(project)))
          await sql(query, evil.sha256, project)
        }
        const [copied] = await sql("SELECT mac FROM files WHERE project = 'alpha'")
        const macs: [string, unknown, string][] = [
          ['alpha', new Uint8Array(32), 'live'],
          [STRANGER, new Uint8Array(32), 'live'],
          [neighbour('staged'), new Uint8Array(32), 'staged'],
          [neighbour('copied'), copied!.mac, 'live'],
          [neighbour('copied-staged'), copied!.mac, 'staged'],
        ]
        for (const [project, mac, state] of macs) {
          await insertProject(stage, project)
          await insertFile(stage, { project, mac, state })
          await enqueue(stage, project, `${project}-6.6-py3-none-any.whl`)
        }
        await insertProject(stage, neighbour('queued'))
        await enqueue(stage, neighbour('queued'), 'queued-6.6-py3-none-any.whl')
        await insertProject(stage, neighbour('named'))
        await listAgain(stage)
      })
    })

    test('rows of pages: of a project, of no project, of the list', async () => {
      await survives(async ({ sql, evil, repository: { place } }) => {
        for (const project of ['alpha', STRANGER])
          for (const [form, text] of [
            ['json', evilPage(project, evil.sha256)],
            ['html', evil.html],
          ] as const)
            await sql(
              `INSERT INTO pages (path, bin, sha256, length) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT (path) DO UPDATE SET sha256 = ?3, length = ?4`,
              ...[pathOf(project, form), BIN, await sha256Hex(encode(text)), encode(text).length],
            )
        const sha256 = await sha256Hex(encode(evil.page))
        for (const path of ['simple/vnd.pypi.simple.v1.json', 'simple/vnd.pypi.simple.v1.html']) {
          await bucket.put(pageKey(place, path, sha256), evil.page)
          await sql('UPDATE pages SET sha256 = ?, length = ? WHERE path = ?', sha256, encode(evil.page).length, path)
        }
      })
    })

    test('a page that was said to be live once', async () => {
      await survives(async ({ sql, evil, repository: { place } }) => {
        const key = pageKey(place, pathOf('alpha', 'json'), await sha256Hex(encode(evil.page)))
        await sql(
          "INSERT INTO garbage (key, not_before, kind, reason) VALUES (?, ?, 'page', 'replaced')",
          key,
          Date.now() + 1e12,
        )
      })
    })

    test('a page of a publication that is on its way', async () => {
      await survives(async (stage) => {
        const { sql, evil, repository } = stage
        await whileHeld(repository, async (release) => {
          const upload = accept(stage, 'alpha', '1.0.1').catch(() => undefined)
          await eventually(async () => (await sql("SELECT 1 AS x FROM publications WHERE state = 'open'")).length > 0)
          const [sha256, path] = [await sha256Hex(encode(evil.page)), pathOf('alpha', 'json')]
          const key = pageKey(repository.place, path, sha256)
          const changed =
            'UPDATE objects SET key = ?, sha256 = ?, length = ?, bytes = ? WHERE name = ? AND publication = (SELECT max(id) FROM publications)'
          await sql(changed, key, sha256, encode(evil.page).length, encode(evil.page), path)
          await release()
          await upload
        })
      })
    })

    test('a token of their own, and more scopes for another', async () => {
      await survives(async (stage) => {
        const { sql, repository } = stage
        const token = await newToken()
        await sql(
          `INSERT INTO tokens (id, digest, name, scopes, projects, minted_by, created, expires)
           VALUES (?, ?, ?, ?, NULL, 'bootstrap', 1, ?)`,
          ...['evil', await sha256Hex(encode(token)), 'x', '["upload","create","yank","admin"]', 4e12],
        )
        const upload = publish({ ...repository, token }, STRANGER, '6.6', EVIL)
        await expect(upload).rejects.toThrow('401')
        await sql(`UPDATE tokens SET scopes = '["upload","create","yank","admin"]'`)
        await expect(publish(repository, STRANGER, '6.6', EVIL)).rejects.toThrow('401')
      })
    })

    test('a root of their own', async () => {
      await survives(async (stage) => {
        const view = await signOwnView(stage, (await presentOf(stage.repository)).snapshot.version + 1)
        await stage.sql(
          "INSERT INTO offline (role, version, sha256) VALUES ('root', ?, ?)",
          view.rootVersion,
          view.rootSha256,
        )
        await stage.sql('INSERT INTO offline_bytes (sha256, chunk, bytes) VALUES (?, 0, ?)', view.rootSha256, view.root)
        // A fresh face trusts what is named here, and would take the whole view above.
        const trust = await door.trust(stage.repository.name)
        expect(trust).toMatchObject({ ok: true, roots: [{ version: 1 }] })
        await expectUnserved(stage, 'the view was put')
      })
    })

    test.each([
      ['highest', `UPDATE roles SET highest = highest - 1 WHERE name IN ('${BIN}', 'snapshot', 'timestamp')`],
      [
        'highest and live',
        `UPDATE roles SET highest = version - 1, version = version - 1 WHERE name IN ('${BIN}', 'snapshot')`,
      ],
    ])('a number lowered (%s): no version gets a second content', async (_, query) => {
      const contents = new Map<string, string>()
      await survives(async ({ sql, repository: { place } }) => {
        for (const key of await keysUnder(place, 'tuf/')) contents.set(key, await sha256Hex(await objectBytes(key)))
        await sql(query)
      })
      for (const [key, sha256] of contents) {
        if (key.endsWith('timestamp.json')) continue
        const object = await bucket.get(key)
        if (object) expect([key, await sha256Hex(new Uint8Array(await object.arrayBuffer()))]).toEqual([key, sha256])
      }
    })
  })
})
