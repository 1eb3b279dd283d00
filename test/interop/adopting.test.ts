// docs/adopting.md, typed: a bucket with a cron job as go-tuf makes it, a python-tuf script, a tuf-on-ci repository; then
// each one's own client.
import { cpSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { need, prepare } from './environments.ts'
import { guide, must, owner, tokenIn } from './guide.ts'
import { goTuf, pythonTuf, tufOnCi } from './owners.ts'
import { Service } from './service.ts'

let service: Service
beforeAll(async () => {
  await prepare(['tuf', 'gotuf', 'tuf-on-ci'])
  service = await Service.start()
})
afterAll(() => service?.stop())
beforeEach((context) => service.explain(context))

test('A bucket with a cron job', async (context) => {
  const [begin, finish, push, ...more] = guide('A bucket with a cron job', service)
  expect(more).toEqual([])
  const { folder, type, own, downloads } = await owner(context, service, 'tools', goTuf)
  const begun = await type(begin!)
  expect(begun).toContain('Verified   root 3, timestamp 1, snapshot 1, 10 signed roles\n')
  // Nobody stands in the clone here, so npx is no word of what is said next.
  expect(begun).toContain(`  node ${resolve('cli/tuf-edge.mjs')} sign ${join(folder, 'adopt-tools', '4.root.json')} `)
  const finished = await type(finish!)
  expect(finished).toContain(`node ${resolve('cli/tuf-edge.mjs')} push FILE … --name tools --url ${service.url}\n`)
  const token = tokenIn(finished)
  await own('add', 'targets', 'new.sh', 'echo new')
  expect(await type(push!, { TUF_EDGE_TOKEN: token })).toContain('2.targets: published\n')
  expect(await downloads('go-tuf', ['installer.sh', 'tools/cli', 'new.sh'])).toEqual([true, true, true])
})

test('A python-tuf script', async (context) => {
  const [begin, sign, finish, push, ...more] = guide('A python-tuf script', service)
  expect(more).toEqual([])
  const { folder, type, own, downloads } = await owner(context, service, 'scripts', pythonTuf)
  await type(begin!)
  await must((await need(context, 'tuf')).command('python'), ['-c', sign!], folder)
  writeFileSync(join(folder, 'push-token'), tokenIn(await type(finish!)))
  await own('add', 'team', 'team/new', 'new')
  await own('add', 'targets', 'second', 'at the top too')
  expect(await type(push!)).toContain('2.team: published\n')
  expect(await downloads('python-tuf', ['readme', 'team/new', 'second'])).toEqual([true, true, true])
})

test('A tuf-on-ci repository', async (context) => {
  const [begin, sign, finish, pull, roots, push, ...more] = guide('A tuf-on-ci repository', service)
  expect(more).toEqual([])
  const { folder, type, own, downloads } = await owner(context, service, 'events', tufOnCi)
  const program = (await need(context, 'tuf-on-ci')).command('python')
  // Bob adopts in his clone, signs, and hands the folder to cleo, who gives it back.
  writeFileSync(join(folder, 'bob', 'bootstrap-secret'), service.bootstrapSecret)
  await type(begin!, {}, 'bob')
  const handOn = (from: string, to: string) =>
    cpSync(join(folder, from, 'adopt-events'), join(folder, to, 'adopt-events'), { recursive: true })
  const signs = (who: string) =>
    must(program, ['-c', sign!], join(folder, who), { XDG_DATA_HOME: join(folder, `${who}-data`) })
  await signs('bob')
  handOn('bob', 'cleo')
  await signs('cleo')
  handOn('cleo', 'bob')
  const TUF_EDGE_TOKEN = tokenIn(await type(finish!, {}, 'bob'))
  // Here the owner's place is on this machine.
  await type(pull!.replace('600}', '600, "privateAddresses": true}'), { TUF_EDGE_TOKEN })
  await type(roots!, {}, 'bob')
  await own('add', 'targets', 'new.txt', 'signed in an event by ada')
  expect(await type(push!, { TUF_EDGE_TOKEN }, 'bob')).toContain('4.targets: published\n')
  expect(await downloads('python-tuf', ['readme.txt', 'tools/cli', 'new.txt'])).toEqual([true, true, true])
})
