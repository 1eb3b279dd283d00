// A moment of a ledger that a test returns to: its rows, kept in tables of their own beside them, and its alarm. (Row ids
// that are given out automatically go on rising; nothing may depend on their being dense.)

const tablesOf = (sql: SqlStorage): string[] =>
  sql
    .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'")
    .toArray()
    .map(({ name }) => name)
    .filter((name) => !/^(_cf_|sqlite_|kept_)/.test(name))

/** @returns the alarm */
export async function keepLedger({ storage }: DurableObjectState): Promise<number | null> {
  for (const table of tablesOf(storage.sql)) storage.sql.exec(`CREATE TABLE kept_${table} AS SELECT * FROM ${table}`)
  return storage.getAlarm()
}

export async function returnLedger({ storage }: DurableObjectState, alarm: number | null): Promise<void> {
  storage.transactionSync(() => {
    for (const table of tablesOf(storage.sql)) {
      storage.sql.exec(`DELETE FROM ${table}`)
      storage.sql.exec(`INSERT INTO ${table} SELECT * FROM kept_${table}`)
    }
  })
  await (alarm === null ? storage.deleteAlarm() : storage.setAlarm(alarm))
  await storage.sync()
}
