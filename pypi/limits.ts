// Every limit of pypi/, with its arithmetic and source. Units are in the names; no limit is written anywhere else.
// The publisher's bundle contains this file: it imports nothing.

const KIB = 1024
const MIB = 1024 * KIB

/**
 * Largest distribution file in bytes: 95 MiB = 99,614,720. Cloudflare refuses request bodies over 100 MB = 100,000,000
 * on Free and Pro zones before a Worker runs, with an HTML page no uploader understands; 385,280 bytes stay for the form
 * around the file. https://developers.cloudflare.com/workers/platform/limits/#request-limits
 */
export const FILE_BYTES_MAX = 95 * MIB

/**
 * Largest file that comes in parts: 1 GiB, the most PyPI grants on request. It is 64 parts of 16 MiB, each below every
 * plan's request limit, and is read back once to be checked: about 20 s at the 50 MB/s of one read from R2, of which
 * hashing and walking a wheel are 5 s of CPU.
 */
export const LARGE_FILE_BYTES_MAX = 1_024 * MIB

/**
 * Files of one project. Pages are rendered and signed whole: 5,000 × ~420 bytes of JSON ≈ 2.1 MB for the largest page.
 * The largest real projects list about 4,000 files.
 */
export const FILES_PER_PROJECT_MAX = 5_000

/**
 * `encodeURIComponent(target path)` in bytes: python-tuf and tuf-js store a target under that name, and file names end
 * at 255 bytes on ext4, APFS and NTFS.
 */
export const TARGET_PATH_ENCODED_MAX = 255

/** File name in bytes with anything a client adds to it: NAME_MAX of the same file systems. */
export const STORED_NAME_BYTES_MAX = 255

/** What consistent snapshots put before a name: 64 hex digits of sha256 and a dot (TUF 6.2). */
export const DIGEST_PREFIX_BYTES = 65

/** METADATA or PKG-INFO in bytes, unpacked. Readers of this index cap `.metadata` at 8 MB; half of it leaves them room. */
export const METADATA_BYTES_MAX = 4 * MIB

/** Summary in characters (Warehouse). */
export const SUMMARY_CHARS_MAX = 512

/** Label of a Project-URL in characters (core metadata specification). */
export const PROJECT_URL_LABEL_CHARS_MAX = 32

/**
 * Form: bytes of one field that is kept. Names, versions and digests are below 300 bytes; an attestation is about 10 kB
 * and a file has one to three, so 256 KiB is eight times the largest form of today.
 */
export const FORM_FIELD_BYTES_MAX = 256 * KIB

/**
 * Form: bytes of all fields together, those that are read and dropped included. `description` repeats the README, and
 * METADATA with the same README may have 4 MiB; as much again for the rest.
 */
export const FORM_TOTAL_BYTES_MAX = 8 * MIB

/** Form: fields. A distribution sends one per classifier, dependency, licence file and extra: hundreds at most. */
export const FORM_FIELDS_MAX = 4_096

/**
 * Zip: entries. 65,534 is the most that the end record can count without ZIP64 (65,535 says "see there"), and the largest
 * real wheels have about 50,000.
 */
export const ZIP_ENTRIES_MAX = 65_534

/** Zip: bytes of one entry's name. The longest path POSIX opens is 4,096 bytes, and a site-packages prefix comes before. */
export const ENTRY_NAME_BYTES_MAX = 2_048

/** Zip and tar: bytes of all names together, held to find duplicates: 65,536 entries × 128. */
export const ENTRY_NAMES_BYTES_MAX = 8 * MIB

/** Wheel: bytes of RECORD unpacked: 65,536 lines × 256 (path 128, digest 51, size, commas) = 16 MiB. */
export const RECORD_BYTES_MAX = 16 * MIB

/** Wheel: bytes of WHEEL and of entry_points.txt unpacked; real ones are below 10 kB, generated scripts reach 200 kB. */
export const DIST_INFO_FILE_BYTES_MAX = 1 * MIB

/** Unpacked bytes below which no ratio is asked (Warehouse: 64 MiB). */
export const BOMB_FREE_BYTES = 64 * MIB

/** Unpacked : packed above which an archive is a bomb (Warehouse: 50). Deflate reaches 1,032 : 1. */
export const BOMB_RATIO_MAX = 50

/** sdist: inflated bytes. Each is walked here: 900 MB took 6 s in workerd on two busy cores, of 30 s of CPU a Worker has. */
export const SDIST_UNPACKED_BYTES_MAX = 1_024 * MIB

/** sdist: members, for the same memory as ZIP_ENTRIES_MAX. */
export const TAR_MEMBERS_MAX = 65_534

/** sdist: bytes of one pax header or GNU long name. A path of 2,048 bytes, times four for other keys. */
export const TAR_EXTENSION_BYTES_MAX = 64 * KIB

/**
 * Compressed bytes given to the inflater before everything that came of them has been looked at: 32 KiB × 1,032 = 34 MB
 * is the most that hostile input can put in the 128 MB of an isolate.
 */
export const INFLATE_SLICE_BYTES = 32 * KIB

/** Inflated bytes looked at in one read: 64 KiB, 1/16,384 of the largest sdist. */
export const INFLATED_CHUNK_BYTES = 64 * KIB
