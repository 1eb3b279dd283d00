// The ledger's tables. The ledger is the only source for signing; what the bucket holds never is.
//
// Invariants between the parts:
// - roles.highest never falls and counts every number ever signed, live or not: a version names the same bytes for ever.
// - A publication is open, live or superseded. At most one is open. The bytes of an object are rows here from the commit on
//   until a later live publication replaces the object or its own is superseded: what is live can be put again byte for byte.
// - roles.publication and pages.publication name the publication whose object rows hold the live bytes.
// - A file is staged (accepted, not yet in a live publication), live, deleted or quarantined; between a delete and the flip
//   that un-names it, `deleting` if a live publication may name it and `dropping` if none did. Its queue row without a
//   publication is waiting; with one it shares that publication's fate. `removal` is the queue row of its delete.
// - statuses holds the projects that are not active, and those that were until the next flip: `status` is what is wanted,
//   `live` what the live page says. `deleted` is a status on its way: with the flip the project's rows go.
// - A queue row that is withdrawn goes, with the file it stands for, as soon as it is in no publication (withdraw.ts).
// - multiparts holds uploads in parts that are open (their blob is begun), and those that were until the collector saw them.
// - reservations holds where direct uploads may be put; no row of it is signed, or names a key of the bucket but its own.
// - A blob is begun, stored, referenced, condemned or gone; (sha256, n) is never given out twice.
// - Rows of files, statuses, pages, retired pages, tokens, publishers, settings, offline,
//   staged and voices carry a MAC under a key that is in no table (mac.ts); one that does not hold is as good as absent.
// - offline_bytes holds the files of offline and staged under their digests, once each; a row alone there means nothing.
// - staged holds files of batches that are not finished (batches.ts), voices whose signatures of what was verified for them.
// - unpublished names the rows of offline that no live publication holds yet. (Of an index made here: none, its ceremony's
//   files are in its first publication.)
// - uncopied names live files that the second bucket may lack; empty where none is bound.
// - timestamps holds every timestamp from the moment it is signed, so that one found in the bucket can be recognised.
import type { Sql } from './sql.ts'

const VERSION = 13

const TABLES = `
CREATE TABLE facts (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;

CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL, mac BLOB NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE online_keys (
  keyid TEXT PRIMARY KEY, role TEXT NOT NULL, public TEXT NOT NULL,
  wrapped BLOB NOT NULL, iv BLOB NOT NULL, created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE offline (
  role TEXT NOT NULL, version INTEGER NOT NULL, sha256 TEXT NOT NULL, delegates INTEGER NOT NULL DEFAULT 0, mac BLOB,
  PRIMARY KEY (role, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX offline_by_digest ON offline (sha256);

CREATE TABLE offline_bytes (
  sha256 TEXT NOT NULL, chunk INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (sha256, chunk)
) STRICT, WITHOUT ROWID;

CREATE TABLE batches (
  id TEXT PRIMARY KEY, files INTEGER NOT NULL, length INTEGER NOT NULL, touched INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE staged (
  batch TEXT NOT NULL, role TEXT NOT NULL, version INTEGER NOT NULL, sha256 TEXT NOT NULL, length INTEGER NOT NULL,
  expires INTEGER NOT NULL, delegates INTEGER NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (batch, role, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX staged_by_digest ON staged (sha256);

CREATE TABLE voices (
  batch TEXT NOT NULL, sha256 TEXT NOT NULL, identities TEXT NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (batch, sha256)
) STRICT, WITHOUT ROWID;

CREATE TABLE unpublished (
  role TEXT NOT NULL, version INTEGER NOT NULL, not_before INTEGER NOT NULL, PRIMARY KEY (role, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
  name TEXT PRIMARY KEY, highest INTEGER NOT NULL,
  version INTEGER, sha256 TEXT, length INTEGER, expires INTEGER, publication INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX roles_by_expiry ON roles (expires) WHERE version IS NOT NULL;

CREATE TABLE projects (
  name TEXT PRIMARY KEY, shard TEXT NOT NULL, bin TEXT NOT NULL, created INTEGER NOT NULL, owner TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX projects_by_bin ON projects (bin, shard);

CREATE TABLE files (
  project TEXT NOT NULL, filename TEXT NOT NULL, bin TEXT NOT NULL,
  sha256 TEXT NOT NULL, size INTEGER NOT NULL, n INTEGER NOT NULL,
  version TEXT NOT NULL, release TEXT NOT NULL, filetype TEXT NOT NULL, uploaded INTEGER NOT NULL,
  requires_python TEXT, metadata_sha256 TEXT, metadata_size INTEGER, provenance_sha256 TEXT,
  yanked TEXT, state TEXT NOT NULL, reason TEXT, removal INTEGER, purge INTEGER, mac BLOB NOT NULL,
  PRIMARY KEY (project, filename)
) STRICT, WITHOUT ROWID;
CREATE INDEX files_by_bin ON files (bin);
CREATE INDEX files_staged ON files (bin) WHERE state = 'staged';

CREATE INDEX files_leaving ON files (project, removal) WHERE state IN ('deleting', 'dropping');

CREATE TABLE statuses (
  project TEXT PRIMARY KEY, bin TEXT NOT NULL, status TEXT NOT NULL, reason TEXT, live TEXT NOT NULL,
  seq INTEGER NOT NULL, mac BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX statuses_by_bin ON statuses (bin);

CREATE TABLE quotas (
  project TEXT PRIMARY KEY, bytes INTEGER, files INTEGER, file_bytes INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE pages (
  path TEXT PRIMARY KEY, bin TEXT NOT NULL, sha256 TEXT NOT NULL, length INTEGER NOT NULL, publication INTEGER,
  mac BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX pages_by_bin ON pages (bin);

CREATE TABLE blobs (
  sha256 TEXT NOT NULL, n INTEGER NOT NULL, state TEXT NOT NULL, created INTEGER NOT NULL,
  PRIMARY KEY (sha256, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE uncopied (
  project TEXT NOT NULL, filename TEXT NOT NULL, PRIMARY KEY (project, filename)
) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_begun ON blobs (created) WHERE state = 'begun';

CREATE TABLE multiparts (
  sha256 TEXT NOT NULL, n INTEGER NOT NULL, project TEXT NOT NULL, filename TEXT NOT NULL,
  size INTEGER NOT NULL, upload_id TEXT, parts TEXT NOT NULL, PRIMARY KEY (sha256, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE queue (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, project TEXT NOT NULL, filename TEXT NOT NULL, publication INTEGER,
  token TEXT, withdrawn INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX queue_by_project ON queue (project);
CREATE INDEX queue_withdrawn ON queue (seq) WHERE withdrawn = 1;

CREATE TABLE publications (
  id INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT NOT NULL, snapshot INTEGER NOT NULL,
  created INTEGER NOT NULL, half_life INTEGER NOT NULL, reason TEXT
) STRICT;
CREATE INDEX publications_open ON publications (id) WHERE state = 'open';

CREATE TABLE objects (
  publication INTEGER NOT NULL, key TEXT NOT NULL, chunk INTEGER NOT NULL,
  kind TEXT NOT NULL, name TEXT NOT NULL, bin TEXT,
  version INTEGER, expires INTEGER, sha256 TEXT NOT NULL, length INTEGER NOT NULL, bytes BLOB NOT NULL, mac BLOB,
  PRIMARY KEY (publication, key, chunk)
) STRICT, WITHOUT ROWID;

CREATE TABLE timestamps (
  version INTEGER PRIMARY KEY, bytes BLOB NOT NULL, sha256 TEXT NOT NULL,
  snapshot INTEGER NOT NULL, publication INTEGER, signed INTEGER NOT NULL, expires INTEGER NOT NULL,
  private INTEGER NOT NULL
) STRICT;

CREATE TABLE garbage (
  key TEXT PRIMARY KEY, not_before INTEGER NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL, mac BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX garbage_by_time ON garbage (not_before);

CREATE TABLE notices (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, body TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0, next_at INTEGER
) STRICT;
CREATE INDEX notices_by_time ON notices (next_at) WHERE next_at IS NOT NULL;

CREATE TABLE tokens (
  id TEXT PRIMARY KEY, digest TEXT NOT NULL UNIQUE, name TEXT NOT NULL, scopes TEXT NOT NULL, projects TEXT,
  minted_by TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL, revoked INTEGER, used INTEGER, mac BLOB
) STRICT, WITHOUT ROWID;

CREATE TABLE publishers (
  id TEXT PRIMARY KEY, project TEXT NOT NULL, issuer TEXT NOT NULL, subject TEXT NOT NULL, source TEXT NOT NULL,
  pending INTEGER NOT NULL, created INTEGER NOT NULL, added_by TEXT NOT NULL, mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX publishers_by_subject ON publishers (issuer, subject);
CREATE INDEX publishers_by_project ON publishers (project);

CREATE TABLE exchanges (
  issuer TEXT NOT NULL, jwt TEXT NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (issuer, jwt)
) STRICT, WITHOUT ROWID;
CREATE INDEX exchanges_by_time ON exchanges (until);

CREATE TABLE publisher_tokens (
  token TEXT NOT NULL, publisher TEXT NOT NULL, expires INTEGER NOT NULL, PRIMARY KEY (token, publisher)
) STRICT, WITHOUT ROWID;
CREATE INDEX publisher_tokens_by_publisher ON publisher_tokens (publisher);
CREATE INDEX publisher_tokens_by_time ON publisher_tokens (expires);

CREATE TABLE journal (
  seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, event TEXT NOT NULL, hash TEXT NOT NULL
) STRICT;
`

/**
 * What feeds and purges are read by, newest first, and what no older release asks for. Neither changes a row of the other
 * tables, so ledgers of the same schema may lack them until now, and an older release goes on beside them.
 */
const LATER = `
CREATE INDEX IF NOT EXISTS files_by_upload ON files (uploaded) WHERE state = 'live';
CREATE INDEX IF NOT EXISTS projects_by_creation ON projects (created);
CREATE INDEX IF NOT EXISTS files_purged ON files (removal) WHERE purge = 1;
CREATE TABLE IF NOT EXISTS reservations (
  project TEXT NOT NULL, filename TEXT NOT NULL, sha256 TEXT NOT NULL, id TEXT NOT NULL UNIQUE, expires INTEGER NOT NULL,
  PRIMARY KEY (project, filename, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS reservations_by_time ON reservations (expires);
`

/** Makes the tables on first use. Bounded work, no I/O beyond the object's own database, so the constructor may call it. */
export function createTables(sql: Sql): void {
  const known = sql.exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name = 'facts'").toArray()
  if (known.length === 0) {
    sql.exec(TABLES)
    sql.exec('INSERT INTO facts (name, value) VALUES (?, ?)', 'schema', VERSION)
    sql.exec(LATER)
    return
  }
  const [row] = sql.exec<{ value: number }>("SELECT value FROM facts WHERE name = 'schema'").toArray()
  const version = row?.value ?? 0
  // Rows without a MAC cannot be told from a stranger's, so nothing is made of them.
  if (version < VERSION)
    throw new Error(
      `The ledger has schema ${version}, from before the first release, and cannot be read: begin with a new state folder.`,
    )
  if (version > VERSION)
    throw new Error(`The ledger has schema ${version}, this release knows ${VERSION}: deploy the newer release again.`)
  sql.exec(LATER)
}
