// Watching a publisher from outside: its transactions, told apart by the rows they changed, and members of a native object
// replaced. The product has no hook for any of it.

/** What a transaction was, told by the rows it changed. */
export type Change = 'begin' | 'stage' | 'commit' | 'timestamp' | 'finish' | 'supersede' | 'collect' | 'other'
export type Moment =
  /** Its statements ran and nothing is stored yet: what throws here rolls it back. */
  | 'inside'
  /** It is stored. */
  | 'after'

/** The object with some members replaced; native methods need the native object as `this`. */
export function substitute<T extends object>(object: T, members: Record<string, unknown>): T {
  return new Proxy(object, {
    get(target, property) {
      if (typeof property === 'string' && property in members) return members[property]
      const member = Reflect.get(target, property) as unknown
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}

/** Transactions may nest; only the outermost is stored when it ends. */
export function watched(
  storage: DurableObjectStorage,
  onTransaction: (change: Change, moment: Moment) => void,
): <T>(closure: () => T) => T {
  let nested = false
  return <T>(closure: () => T): T => {
    if (nested) return storage.transactionSync(closure)
    nested = true
    try {
      return outermost(closure)
    } finally {
      nested = false
    }
  }
  function outermost<T>(closure: () => T): T {
    let change: Change = 'other'
    const result = storage.transactionSync(() => {
      const before = marks(storage.sql)
      const value = closure()
      const after = marks(storage.sql)
      change = KINDS.find((kind) => before[kind] !== after[kind]) ?? 'other'
      onTransaction(change, 'inside')
      return value
    })
    onTransaction(change, 'after')
    return result
  }
}

/** Most telling first: a commit may add to the queue, a finish ends a publication. */
const KINDS = ['finish', 'supersede', 'commit', 'timestamp', 'stage', 'begin', 'collect'] as const

function marks(sql: SqlStorage): Record<(typeof KINDS)[number], unknown> {
  const value = (query: string) => Object.values(sql.exec(query).toArray()[0] ?? {})[0]
  return {
    finish: value("SELECT value FROM facts WHERE name = 'pointerEtag'"),
    supersede: value("SELECT count(*) FROM publications WHERE state = 'superseded'"),
    commit: value('SELECT max(id) FROM publications'),
    timestamp: value('SELECT max(version) FROM timestamps'),
    stage: value('SELECT max(seq) FROM queue'),
    begin: value("SELECT count(*) FROM blobs WHERE state = 'begun'"),
    collect: value('SELECT count(*) FROM garbage'),
  }
}
