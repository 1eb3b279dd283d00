// workerd's inspector: heap and processor time of one script's isolate, as the runtime itself counts them.

export interface HeapUsage {
  /** Bytes of live and not yet collected JavaScript objects. */
  usedSize: number
  /** Bytes of ArrayBuffers outside the heap. */
  backingStorageSize: number
}

interface CallFrame {
  functionName: string
  url: string
  lineNumber: number
}

interface Profile {
  nodes: { id: number; callFrame: CallFrame }[]
  samples: number[]
  /** Microseconds since the sample before. */
  timeDeltas: number[]
}

export interface Cpu {
  /** Milliseconds in which the isolate did something. */
  busyMs: number
  /** By function, most first. */
  functions: { name: string; ms: number }[]
}

export class Inspector {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #id = 0

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.addEventListener('message', ({ data }) => {
      const message = JSON.parse(String(data)) as { id?: number; result?: unknown; error?: { message: string } }
      if (message.id === undefined) return
      const call = this.#waiting.get(message.id)
      this.#waiting.delete(message.id)
      if (message.error) call?.reject(new Error(message.error.message))
      else call?.resolve(message.result)
    })
  }

  /** @param script name of the Worker, e.g. tuf-edge */
  static async open(port: number, script: string): Promise<Inspector> {
    const answer = await fetch(`http://127.0.0.1:${port}/json`)
    const targets = (await answer.json()) as { id: string; title: string; webSocketDebuggerUrl: string }[]
    const target = targets.find(({ id, title }) => id === script || id.endsWith(`:${script}`) || title.endsWith(script))
    if (!target) throw new Error(`The inspector lists no ${script}: ${JSON.stringify(targets)}`)
    const socket = new WebSocket(target.webSocketDebuggerUrl)
    await new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve(), { once: true })
      socket.addEventListener('error', () => reject(new Error(`The inspector of ${script} does not answer.`)), {
        once: true,
      })
    })
    return new Inspector(socket)
  }

  async heap(): Promise<HeapUsage> {
    const usage = (await this.#call('Runtime.getHeapUsage')) as Partial<HeapUsage>
    return { usedSize: usage.usedSize ?? 0, backingStorageSize: usage.backingStorageSize ?? 0 }
  }

  /** What is live: collected first. */
  async liveHeap(): Promise<HeapUsage> {
    await this.#call('HeapProfiler.collectGarbage')
    return this.heap()
  }

  /** Processor time of the isolate while `work` runs. */
  async profile(work: () => Promise<void>): Promise<Cpu> {
    await this.#call('Profiler.enable')
    await this.#call('Profiler.setSamplingInterval', { interval: 500 })
    await this.#call('Profiler.start')
    await work()
    const { profile } = (await this.#call('Profiler.stop')) as { profile: Profile }
    return cpuOf(profile)
  }

  close(): void {
    this.#socket.close()
  }

  #call(method: string, params: Record<string, unknown> = {}): Promise<unknown> {
    const id = ++this.#id
    this.#socket.send(JSON.stringify({ id, method, params }))
    return new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
  }
}

function cpuOf({ nodes, samples, timeDeltas }: Profile): Cpu {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const spent = new Map<string, number>()
  for (const [i, id] of samples.entries()) {
    const name = names.get(id) ?? '?'
    spent.set(name, (spent.get(name) ?? 0) + (timeDeltas[i] ?? 0) / 1000)
  }
  const functions = [...spent]
    .map(([name, ms]) => ({ name, ms }))
    .filter(({ name }) => name !== '(idle)' && name !== '(root)')
    .sort((a, b) => b.ms - a.ms)
  return { busyMs: functions.reduce((sum, { ms }) => sum + ms, 0), functions }
}

/** Several functions may have one name; the line is that of the bundle. */
const nameOf = ({ functionName, lineNumber }: CallFrame): string =>
  functionName.startsWith('(') ? functionName : `${functionName || 'anonymous'}:${lineNumber + 1}`
