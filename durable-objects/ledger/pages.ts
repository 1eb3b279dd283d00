// Live pages: one row each, with a MAC that was made of the bytes when they were signed for the first time. A bin is signed
// again from these rows, so a row that somebody else wrote would become signed content: it is not taken, and the plan
// renders its page anew from accepted files.
import { macHolds, macOf } from './mac.ts'
import { all, one, run, type Sql } from './sql.ts'

export interface PageFacts {
  /** Target path. */
  path: string
  bin: string
  sha256: string
  /** Bytes. */
  length: number
}

export interface PageRow extends PageFacts, Record<string, string | number | null | ArrayBuffer> {
  /** Whose object rows hold its bytes, if any do. */
  publication: number | null
  mac: ArrayBuffer | null
}

const partsOf = ({ path, bin, sha256, length }: PageFacts) => [path, bin, sha256, length]

export const pageMac = (key: Uint8Array, page: PageFacts): Uint8Array => macOf(key, partsOf(page), 'pages')
export const pageMacHolds = (key: Uint8Array, page: PageRow): boolean => macHolds(key, partsOf(page), page.mac, 'pages')

export const findPage = (sql: Sql, path: string): PageRow | undefined =>
  one<PageRow>(sql, 'SELECT * FROM pages WHERE path = ?', path)

export const pagesOfBin = (sql: Sql, bin: string): PageRow[] =>
  all<PageRow>(sql, 'SELECT * FROM pages WHERE bin = ?', bin)

/** Makes a page the live one of its path. */
export function setLivePage(sql: Sql, page: PageFacts, publication: number | null, mac: Uint8Array | null): void {
  run(
    sql,
    `INSERT INTO pages (path, bin, sha256, length, publication, mac) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (path) DO UPDATE SET bin = ?2, sha256 = ?3, length = ?4, publication = ?5, mac = ?6`,
    page.path,
    page.bin,
    page.sha256,
    page.length,
    publication,
    mac,
  )
}

export const dropPage = (sql: Sql, path: string): number => run(sql, 'DELETE FROM pages WHERE path = ?', path)
