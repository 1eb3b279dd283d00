// Bundled into the publisher script of a child process: makes the publisher stop at a point, so that it can be killed
// there. From then on nothing of it gets out: bucket calls and answers hang, transactions throw. Runs in workerd.
import { Publisher } from '../../durable-objects/publisher.ts'
import type { FallSettings, Fate, Held } from './matrix-settings.ts'
import { substitute, watched } from './matrix-watch.ts'

type Call = { kind: 'put'; key: string; value: Uint8Array; options: R2PutOptions } | { kind: 'delete'; keys: string[] }

const never = () => new Promise<never>(() => {})
/** Whichever comes first to an instance finds it as the platform made it. */
const METHODS = [
  'createKeys',
  'initialise',
  'mint',
  'begin',
  'stage',
  'whenVisible',
  'refresh',
  'alarm',
  'trust',
  'status',
]
const timestamp = (key: string) => key.endsWith('/timestamp.json')

export function prepareFall(settings: FallSettings): void {
  const { point } = settings
  let { offset, first } = settings
  let [dead, armed, immutables, flips] = [false, false, 0, 0]
  let held: Held[] = settings.held
  const say = (word: string, detail: unknown = {}) => console.log(`${word} ${JSON.stringify(detail)}`)
  const fall = (late?: Held) => {
    dead = true
    say('FALL', late ?? {})
  }

  const bucketOf = (real: R2Bucket): R2Bucket => {
    const perform = (call: Call) =>
      call.kind === 'put' ? real.put(call.key, call.value, call.options) : real.delete(call.keys)
    const land = async () => {
      const landing = held
      held = []
      for (const { key, base64, onlyIf, keys } of landing) {
        if (keys) await real.delete(keys)
        else
          await real.put(
            key!,
            Uint8Array.from(atob(base64!), (char) => char.charCodeAt(0)),
            { onlyIf: onlyIf as R2Conditional },
          )
        say('LANDED', { key, keys })
      }
    }
    const asHeld = (call: Call): Held =>
      call.kind === 'delete'
        ? { keys: call.keys }
        : { key: call.key, base64: btoa(String.fromCharCode(...call.value)), onlyIf: call.options.onlyIf }
    const write = async (call: Call) => {
      if (dead) return never()
      const flip = call.kind === 'put' && timestamp(call.key)
      if (flip && held.length > 0 && (settings.landing === 'before a flip' || ++flips > 1)) await land()
      const immutable = call.kind === 'put' && !flip
      const here = armed && point === (flip ? 'flip' : immutable ? `immutable ${++immutables}` : 'collection')
      const fate: Fate | undefined = here ? settings.fate : first
      if (!fate) return perform(call)
      if (here) dead = true
      first = undefined
      if (fate === 'unacknowledged') await perform(call)
      const late = fate.startsWith('lands') ? asHeld(call) : undefined
      if (here) {
        fall(late)
        return never()
      }
      if (late) held.push(late)
      throw new Error(
        fate === 'refused'
          ? 'put: Reduce your concurrent request rate for the same object. (10058)'
          : `injected: ${fate}`,
      )
    }
    return substitute(real, {
      put: async (key: string, value: ArrayBuffer | Uint8Array, options: R2PutOptions) =>
        write({ kind: 'put', key, value: new Uint8Array(value as ArrayBuffer), options }),
      delete: async (keys: string[]) => write({ kind: 'delete', keys }),
    })
  }

  const transactions = (storage: DurableObjectStorage) => {
    const transact = watched(storage, (change, moment) => {
      if (!armed || point !== `${moment} ${change}`) return
      fall()
      throw new Error('fallen')
    })
    return <T>(closure: () => T): T => {
      if (dead) throw new Error('fallen')
      return transact(closure)
    }
  }

  const attached = new WeakSet<Publisher>()
  const methods = Publisher.prototype as unknown as Record<string, (...args: unknown[]) => unknown>
  for (const method of METHODS) {
    const original = methods[method]!
    methods[method] = async function (this: Publisher, ...args: unknown[]) {
      if (dead) return never()
      if (!attached.has(this)) {
        attached.add(this)
        const inside = this as unknown as { ctx: DurableObjectState; env: { BUCKET: R2Bucket } }
        const storage = substitute(inside.ctx.storage, { transactionSync: transactions(inside.ctx.storage) })
        inside.ctx = substitute(inside.ctx, { storage })
        inside.env = { ...inside.env, BUCKET: bucketOf(inside.env.BUCKET) }
        this.clock = () => Date.now() + offset
      }
      if (method === 'begin' && (args[0] as { filename: string }).filename === settings.filename) {
        armed = true
        immutables = 0
      }
      if (armed && method === 'stage' && point === 'before stage') {
        fall()
        return never()
      }
      // What is replaced from here on is beyond its grace: this upload's pass collects.
      if (armed && method === 'stage' && point === 'collection') offset += settings.grace
      try {
        const answer = await original.apply(this, args)
        return dead ? never() : answer
      } catch (error) {
        if (dead) return never()
        throw error
      }
    }
  }
}
