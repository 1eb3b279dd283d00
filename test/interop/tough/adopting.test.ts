// docs/adopting.md, typed: a tuftool repository; then tough.
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { need, prepare } from '../environments.ts'
import { guide, owner, tokenIn } from '../guide.ts'
import { Service } from '../service.ts'
import { tuftool } from '../tuftool.ts'

let service: Service
beforeAll(async () => {
  await prepare(['tough', 'tuftool'])
  service = await Service.start()
})
afterAll(() => service?.stop())
beforeEach((context) => service.explain(context))

test('A tuftool repository', async (context) => {
  const [begin, finish, push, ...more] = guide('A tuftool repository', service)
  expect(more).toEqual([])
  const { folder, type, own, downloads } = await owner(context, service, 'images', tuftool)
  await own('cron')
  expect(await type(begin!)).toContain('Verified   root 2, timestamp 2, snapshot 2, 2 signed roles\n')
  const PATH = `${dirname((await need(context, 'tuftool')).command('tuftool'))}:${process.env.PATH}`
  const TUF_EDGE_TOKEN = tokenIn(await type(finish!, { PATH }))
  writeFileSync(join(folder, 'input', 'new.txt'), 'new')
  expect(await type(push!, { PATH, TUF_EDGE_TOKEN })).toContain('3.targets: published\n')
  expect(await downloads('tough', ['readme.txt', 'new.txt'])).toEqual([true, true])
})
