// The service of the SIGKILL matrix in a process of its own: `tuf-edge serve`, with a publisher that stops where it is told.
import { developmentCeremony, isInitialised, mintTokens, publishHello } from '../../cli/development.ts'
import { startRuntime } from '../../cli/runtime.ts'
import { StateFolder } from '../../cli/state-folder.ts'

const [port, path, publisherEntry] = process.argv.slice(2) as [string, string, string]
const folder = new StateFolder(path)
await folder.take()
const onLog = (line: string) => process.stdout.write(`${line}\n`)
const runtime = await startRuntime({
  port: Number(port),
  folder: folder.runtime,
  ...folder.secrets(),
  publisherEntry,
  onLog,
})
if (await isInitialised(runtime.url)) await runtime.watchdog()
else {
  await developmentCeremony(runtime.url, folder)
  await publishHello(runtime.url, (await mintTokens(runtime.url, folder)).upload)
}
process.stdout.write('READY\n')
process.stdin.on('data', () => void runtime.watchdog().then(() => process.stdout.write('WATCHED\n')))
