// docs/adopting.md, typed: a bucket with a cron job as go-tuf makes it, and a python-tuf script; then each one's own client.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { need, prepare } from './environments.ts'
import { guide, must, owner, tokenIn } from './guide.ts'
import { goTuf, pythonTuf } from './owners.ts'
import { Service } from './service.ts'

let service: Service
beforeAll(async () => {
  await prepare(['tuf', 'gotuf'])
  service = await Service.start()
})
afterAll(() => service?.stop())
beforeEach((context) => service.explain(context))

test('A bucket with a cron job', async (context) => {
  const [begin, finish, push, ...more] = guide('A bucket with a cron job', service)
  expect(more).toEqual([])
  const { type, own, downloads } = await owner(context, service, 'tools', goTuf)
  expect(await type(begin!)).toContain('Verified   root 3, timestamp 1, snapshot 1, 10 signed roles\n')
  const token = tokenIn(await type(finish!))
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
  const token = tokenIn(await type(finish!))
  await own('add', 'team', 'team/new', 'new')
  await own('add', 'targets', 'second', 'at the top too')
  expect(await type(push!, { TUF_EDGE_TOKEN: token })).toContain('2.team: published\n')
  expect(await downloads('python-tuf', ['readme', 'team/new', 'second'])).toEqual([true, true, true])
})
