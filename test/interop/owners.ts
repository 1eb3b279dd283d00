// Owners of repositories, each with the tool that they have. All answer to the same commands, over a folder in which there
// are keys/, metadata/ and targets/ then:
//
//   make                    a repository; gives its targets as JSON, path to text
//   cron                    the next snapshot and timestamp
//   add ROLE PATH TEXT      one more target in a role; snapshot and timestamp stay
//   sign FILE...            the owner's signatures on roots that somebody else wrote
import { spawn } from 'node:child_process'
import { resolve } from 'node:path'
import { expect, type TestContext } from 'vitest'
import { need } from './environments.ts'

export type Owner = (command: string, ...args: string[]) => Promise<string>
export type OwnerOf = (context: TestContext, folder: string) => Promise<Owner>

export const pythonTuf: OwnerOf = async (context, folder) => {
  const program = (await need(context, 'tuf')).command('python')
  return fixture([program, resolve('test/interop/fixtures/pythontuf.py')], folder)
}

export const goTuf: OwnerOf = async (context, folder) =>
  fixture([(await need(context, 'gotuf')).command('fixture')], folder)

export const tufOnCi: OwnerOf = async (context, folder) => {
  const program = (await need(context, 'tuf-on-ci')).command('python')
  return fixture([program, resolve('test/interop/fixtures/tufonci.py')], folder)
}

const fixture =
  ([program, ...words]: string[], folder: string): Owner =>
  (command, ...args) =>
    say(program!, [...words, command, folder, ...args], { cwd: folder })

/** Runs a program, which must end well; gives its standard output. */
export async function say(
  program: string,
  args: string[],
  { cwd, env }: { cwd: string; env?: NodeJS.ProcessEnv },
): Promise<string> {
  const { TUF_EDGE_TOKEN: _, ...rest } = process.env
  const child = spawn(program, args, { cwd, env: { ...rest, NO_COLOR: '1', ...env } })
  let [said, all] = ['', '']
  child.stdout.on('data', (bytes) => {
    said += bytes
    all += bytes
  })
  child.stderr.on('data', (bytes) => (all += bytes))
  child.stdin.end()
  const code = await new Promise<number | null>((done, failed) => child.on('error', failed).on('close', done))
  expect(code, `${args.join(' ')}\n${all}`).toBe(0)
  return said
}
