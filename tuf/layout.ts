// Names of objects in the bucket, and where a repository lies under its host; fixed for ever: a key written by an old
// release must be found by a new one.
//
// Everything lies under `r/{repository}/e{epoch}/`. Of what is published only `tuf/timestamp.json` is ever
// overwritten; every other key is written once: metadata by version, pages by path and digest, blobs by digest and a counter
// `n`, because a blob's delete is unconditional in an object store and must never be able to hit a file accepted after it.
import { targetUrlName } from './paths.ts'

/** Where one trust chain of one repository lives. A new chain after a lost root is the next epoch. */
export interface Place {
  repository: string
  epoch: number
}

/** Repository names: one path segment, lower case, no dots, at most 40 characters. */
export const REPOSITORY_NAME = /^[a-z][a-z0-9-]{0,39}$/

/** The repository that has the public URL space for itself. */
export const MAIN = 'main'

/** What stands before every path of a repository under its host. */
export const baseOf = (repository: string): string => (repository === MAIN ? '' : `/r/${repository}`)

export const bucketPrefix = ({ repository, epoch }: Place): string => `r/${repository}/e${epoch}/`

/** The one mutable object. */
export const timestampKey = (place: Place): string => `${bucketPrefix(place)}tuf/timestamp.json`

/**
 * `N.role.json`, the TUF name of a versioned metadata file (TUF 1.0.34, 6.2.1). Our own role names stand as they are; one
 * that somebody else chose is encoded, so that whatever it holds (`/`, `../`, `?`) it names its own object and no other.
 */
export const metadataKey = (place: Place, version: number, role: string): string =>
  `${bucketPrefix(place)}tuf/${version}.${encodeURIComponent(role)}.json`

/** A page as a target: bound to its path *and* digest, so that no other page's bytes can stand in for it. */
export const pageKey = (place: Place, path: string, sha256: string): string =>
  `${bucketPrefix(place)}pages/${targetUrlName(path, sha256)}`

/** The n-th store of a distribution file's bytes; n counts from 1. */
export const blobKey = (place: Place, sha256: string, n: number): string => `${bucketPrefix(place)}blobs/${sha256}/${n}`

/** PEP 658 metadata beside its blob. */
export const blobMetadataKey = (place: Place, sha256: string, n: number): string =>
  `${blobKey(place, sha256, n)}.metadata`

/** PEP 740 provenance beside its blob. */
export const blobProvenanceKey = (place: Place, sha256: string, n: number): string =>
  `${blobKey(place, sha256, n)}.provenance`

/** Bytes of a direct upload, before anybody looked at them. The one other key that may be written twice; nothing is read from it but to be checked. */
export const uploadKey = (place: Place, id: string): string => `${bucketPrefix(place)}uploads/${id}`

/** Everything that lies beside each other for one file, and goes together. */
export const blobKeys = (place: Place, sha256: string, n: number): string[] =>
  [blobKey, blobMetadataKey, blobProvenanceKey].map((key) => key(place, sha256, n))
