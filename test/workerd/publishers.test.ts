// Trusted publishers in the operators' API: who may add and remove which.
import { describe, expect, test } from 'vitest'
import type { Scope } from '../../durable-objects/rpc.ts'
import { sqlOf } from './controls.ts'
import { githubClaims } from './jwt-issuer.ts'
import {
  add,
  api,
  audience,
  expectDenied,
  GITHUB,
  github,
  makeProject,
  mint,
  minted,
  OCTO,
  tokenOf,
  upload,
  withIssuers,
} from './oidc-harness.ts'
import { world } from './upload-harness.ts'

withIssuers()

describe('publishers', () => {
  test('are added and removed by who may upload himself, and administer', async () => {
    await makeProject('mine')
    const publisher = { project: 'mine', ...OCTO, repository: 'octo-org/mine' }
    for (const [scopes, said] of [
      [['upload', 'create', 'audit'], /scope admin/],
      [['admin', 'create'], /upload for project 'mine' itself/],
    ] as [Scope[], RegExp][]) {
      const answer = await api('POST', '/api/publishers', publisher, await tokenOf(scopes))
      expect([answer.status, await answer.text()]).toEqual([403, expect.stringMatching(said)])
    }
    const noCreate = await api(
      'POST',
      '/api/publishers',
      { ...publisher, project: 'not-mine', pending: true },
      await tokenOf(['admin', 'upload']),
    )
    expect([noCreate.status, await noCreate.text()]).toEqual([403, expect.stringMatching(/create for project/)])
    expect((await api('POST', '/api/publishers', publisher, 'tue_x')).status).toBe(401)

    const id = await add(publisher)
    expect(await add(publisher)).toBe(id)
    const list = (as: string) => api('GET', '/api/publishers?project=mine', undefined, as)
    expect((await list(await tokenOf(['upload']))).status).toBe(403)
    expect(await (await list(await tokenOf(['audit']))).json()).toMatchObject({ publishers: [{ id, project: 'mine' }] })
    expect((await api('DELETE', `/api/publishers/${id}`, undefined, await tokenOf(['audit']))).status).toBe(403)
  })

  test('take their tokens with them', async () => {
    await makeProject('gone')
    const id = await add({ project: 'gone', ...OCTO, repository: 'octo-org/gone' })
    const claims = () =>
      githubClaims(audience, {
        repository: 'octo-org/gone',
        job_workflow_ref: 'octo-org/gone/.github/workflows/release.yml@refs/tags/v1.0',
      })
    const { token } = await minted(await github.sign(claims()))
    expect(await upload(token, 'gone', '2.0')).toBe(200)
    expect((await api('DELETE', `/api/publishers/${id}`)).status).toBe(200)
    expect(await upload(token, 'gone', '3.0')).toBe(401)
    await expectDenied(await mint(await github.sign(claims())), 'invalid-publisher', /octo-org\/gone/)
    expect((await api('DELETE', `/api/publishers/${id}`)).status).toBe(404)
  })

  test('that somebody wrote into the ledger are none', async () => {
    await makeProject('victim')
    const id = await add({ project: 'mine', ...OCTO, repository: 'octo-org/attacker', workflow: 'publish.yml' })
    const claims = () =>
      githubClaims(audience, {
        repository: 'octo-org/attacker',
        job_workflow_ref: 'octo-org/attacker/.github/workflows/publish.yml@refs/tags/v1.0',
      })
    await minted(await github.sign(claims()))
    await sqlOf(world.repository, "UPDATE publishers SET project = 'victim' WHERE id = ?", id)
    await expectDenied(await mint(await github.sign(claims())), 'invalid-publisher', /attacker/)
  })

  test('that mean nothing are refused', async () => {
    const bad: [object, RegExp][] = [
      [{ kind: 'bitbucket' }, /one of: github, gitlab, oidc/],
      [{ ownerId: 'octo-org' }, /owner's number/],
      [{ ownerId: undefined }, /owner's number/],
      [{ repository: 'octo-repo' }, /owner\/name/],
      [{ workflow: '.github/workflows/release.yml' }, /name of a file/],
      [{ workflow: 'release.yml@main' }, /name of a file/],
      [{ environment: '' }, /environment/],
      [{ projectId: '1' }, /no other fields/],
      [{ issuer: 'http://ci.example.org' }, /https/],
      [{ issuer: 'https://me:secret@ci.example.org' }, /https/],
      [{ issuer: 'https://CI.example.org' }, /https/],
      [{ kind: 'gitlab', ownerId: undefined }, /project's number/],
      [{ kind: 'oidc', issuer: GITHUB, claims: { jti: '1' } }, /checked of every JWT/],
      [{ kind: 'oidc', issuer: GITHUB, claims: {} }, /one to 20/],
      [{ kind: 'oidc', issuer: GITHUB, claims: { sub: '' } }, /one to 20/],
      [{ kind: 'oidc', issuer: GITHUB, claims: ['sub'] }, /must be an object/],
      [{ typo: 'x' }, /unknown/],
      [{ project: '-' }, /no project name/],
    ]
    for (const [changed, said] of bad) {
      const answer = await api('POST', '/api/publishers', { project: 'sample', ...OCTO, ...changed })
      expect([changed, answer.status, await answer.text()]).toEqual([changed, 400, expect.stringMatching(said)])
    }
  })
})
