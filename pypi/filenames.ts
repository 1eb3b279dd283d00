// What a distribution's file name says (PEP 427, PEP 625, Warehouse's upload rules). State: none. Invariant: one project
// and version have one spelling, so a parsed name written back is the same string; project and version are normalised.
import { checkFilename, checkTargetPath, escapedName, isValidName, normalizeName } from './names.ts'
import { Refusal, shown } from './refusal.ts'
import { normalizeVersion } from './versions.ts'

/** `{name}-{version}(-{build})?-{python}-{abi}-{platform}.whl` */
export interface WheelFilename {
  readonly kind: 'bdist_wheel'
  readonly filename: string
  /** Normalised (PEP 503). */
  readonly project: string
  /** Normalised (PEP 440). */
  readonly version: string
  /** Build tag as written; starts with a digit. */
  readonly build?: string
  /** Expanded tag sets, e.g. `py2.py3` → `['py2', 'py3']`. */
  readonly python: readonly string[]
  readonly abi: readonly string[]
  readonly platform: readonly string[]
  /** The one name its metadata folder may have: `{name}-{version}.dist-info`. */
  readonly distInfo: string
}

/** `{name}-{version}.tar.gz` */
export interface SdistFilename {
  readonly kind: 'sdist'
  readonly filename: string
  /** Normalised (PEP 503). */
  readonly project: string
  /** Normalised (PEP 440). */
  readonly version: string
  /** The one name its top folder may have: `{name}-{version}`. */
  readonly topDirectory: string
}

/** A parsed file name; `kind` is the form's `filetype`. */
export type DistributionFilename = WheelFilename | SdistFilename

/** The name part of a file name is not in its normal form; the message has the expected file name. */
export class UnnormalisedNameError extends Refusal {
  readonly expected: string

  constructor(filename: string, expected: string) {
    super(
      `File name ${shown(filename)} should be ${shown(expected)}: the project name is written in lower case with '_', ` +
        'the version in its normal form. Build with a current build backend.',
    )
    this.expected = expected
  }
}

// Platforms without a version in their tag: Warehouse's static list. Newer systems need a specification to build for.
const PLATFORMS = new Set([
  ...['any', 'win32', 'win_amd64', 'win_arm64', 'linux_armv6l', 'linux_armv7l'],
  ...['manylinux1_x86_64', 'manylinux1_i686', 'manylinux2010_x86_64', 'manylinux2010_i686'],
  ...['x86_64', 'i686', 'aarch64', 'armv7l', 'ppc64', 'ppc64le', 's390x'].map((arch) => `manylinux2014_${arch}`),
])

// Platforms with a version in their tag: macOS (10.x, 11 to 15, and 26 with minor 0), PEP 600 manylinux, PEP 656
// musllinux, PEP 730 iOS, PEP 738 Android, PEP 783 Emscripten.
const MAC_ARCH = '(?:ppc|ppc64|i386|x86_64|arm64|intel|fat|fat3|fat64|universal|universal2)'
const VERSIONED_PLATFORMS = [
  new RegExp(`^macosx_(?:10_\\d+|1[1-5]_\\d+|26_0)_${MAC_ARCH}$`),
  /^manylinux_\d+_\d+_(?:x86_64|i686|aarch64|armv7l|ppc64|ppc64le|s390x|riscv64)$/,
  /^musllinux_\d+_\d+_(?:x86_64|i686|aarch64|armv7l|ppc64le|s390x|riscv64)$/,
  /^ios_\d+_\d+_(?:arm64_iphoneos|arm64_iphonesimulator|x86_64_iphonesimulator)$/,
  /^android_\d+_(?:arm64_v8a|armeabi_v7a|x86_64|x86)$/,
  /^pyemscripten_\d+_\d+_wasm32$/,
]

/** True if PyPI takes wheels for this platform tag. */
export function isKnownPlatform(tag: string): boolean {
  return PLATFORMS.has(tag) || VERSIONED_PLATFORMS.some((pattern) => pattern.test(tag))
}

const TAG_SET = /^[a-z0-9_]+(?:\.[a-z0-9_]+)*$/i
const BUILD = /^\d[A-Za-z0-9_.]*$/

// Name and version, checked and normalised; `respell` writes the whole file name with another name and version.
function nameAndVersion(
  filename: string,
  name: string,
  version: string,
  respell: (name: string, version: string) => string,
): { project: string; version: string } {
  if (!isValidName(name)) throw new Refusal(`File name ${shown(filename)} has no valid project name: ${shown(name)}.`)
  const normal = normalizeVersion(version)
  // '-' separates the parts of a file name, so older tools wrote '_' for it inside a local version.
  if (escapedName(name) !== name || normal !== version)
    throw new UnnormalisedNameError(filename, respell(escapedName(name), normal))
  return { project: normalizeName(name), version: normal }
}

/** Parses the name of a wheel. Refuses names that are not exactly as PEP 427 and the normal forms want them. */
export function parseWheelFilename(filename: string): WheelFilename {
  checkFilename(filename)
  if (!filename.endsWith('.whl')) throw new Refusal(`File name ${shown(filename)} does not end in '.whl'.`)
  const parts = filename.slice(0, -'.whl'.length).split('-')
  if (parts.length !== 5 && parts.length !== 6)
    throw new Refusal(
      `File name ${shown(filename)} is not a wheel's: it must be {name}-{version}[-{build}]-{python}-{abi}-{platform}.whl.`,
    )
  const build = parts.length === 6 ? parts[2]! : undefined
  const tags = parts.slice(-3)
  if (build !== undefined && !BUILD.test(build))
    throw new Refusal(`File name ${shown(filename)} has the build tag ${shown(build)}: it must start with a digit.`)
  const badTag = tags.find((tag) => !TAG_SET.test(tag))
  if (badTag !== undefined)
    throw new Refusal(
      `File name ${shown(filename)} has the tag ${shown(badTag)}: tags are letters, digits, '_' and '.'.`,
    )
  const { project, version } = nameAndVersion(filename, parts[0]!, parts[1]!, (name, normal) =>
    [name, normal, ...(build === undefined ? [] : [build]), ...tags].join('-').concat('.whl'),
  )
  const [python, abi, platform] = tags.map((tag) => tag.split('.')) as [string[], string[], string[]]
  const unknown = platform.find((tag) => !isKnownPlatform(tag))
  if (unknown !== undefined)
    throw new Refusal(
      `Wheel ${shown(filename)} is for the platform ${shown(unknown)}, which is not portable: repair it (auditwheel, ` +
        'delocate) so that it has a manylinux, musllinux, macosx, win or other specified tag.',
    )
  checkTargetPath(project, filename)
  return {
    kind: 'bdist_wheel',
    filename,
    project,
    version,
    ...(build === undefined ? {} : { build }),
    python,
    abi,
    platform,
    distInfo: `${parts[0]}-${parts[1]}.dist-info`,
  }
}

/** Parses the name of an sdist (PEP 625). Refuses other archive formats and names that are not normalised. */
export function parseSdistFilename(filename: string): SdistFilename {
  checkFilename(filename)
  if (!filename.endsWith('.tar.gz'))
    throw new Refusal(`File name ${shown(filename)} is not an sdist's: PEP 625 allows only {name}-{version}.tar.gz.`)
  const stem = filename.slice(0, -'.tar.gz'.length)
  const dash = stem.lastIndexOf('-')
  if (dash < 1) throw new Refusal(`File name ${shown(filename)} is not an sdist's: it must be {name}-{version}.tar.gz.`)
  const names = nameAndVersion(filename, stem.slice(0, dash), stem.slice(dash + 1), (n, v) => `${n}-${v}.tar.gz`)
  checkTargetPath(names.project, filename)
  return { kind: 'sdist', filename, ...names, topDirectory: stem }
}

/** Parses the name of a distribution by its extension. Refuses eggs, installers, zips and everything else. */
export function parseFilename(filename: string): DistributionFilename {
  if (filename.endsWith('.whl')) return parseWheelFilename(filename)
  if (filename.endsWith('.tar.gz')) return parseSdistFilename(filename)
  checkFilename(filename)
  throw new Refusal(
    `File name ${shown(filename)} has an extension this index does not take: upload wheels (.whl) and sdists (.tar.gz).`,
  )
}
