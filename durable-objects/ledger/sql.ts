// The object's own database, narrowed to what the ledger uses.

export type Value = string | number | null | ArrayBuffer
export type Sql = SqlStorage

/** The single row of a query, or undefined. */
export function one<T extends Record<string, Value>>(
  sql: Sql,
  query: string,
  ...bindings: (Value | Uint8Array)[]
): T | undefined {
  return sql.exec<T>(query, ...(bindings as Value[])).toArray()[0]
}

/** All rows of a query. */
export function all<T extends Record<string, Value>>(
  sql: Sql,
  query: string,
  ...bindings: (Value | Uint8Array)[]
): T[] {
  return sql.exec<T>(query, ...(bindings as Value[])).toArray()
}

export function run(sql: Sql, query: string, ...bindings: (Value | Uint8Array)[]): number {
  return sql.exec(query, ...(bindings as Value[])).rowsWritten
}
