// The archive checkers, by kind of distribution: one code for uploads that are held in memory and those that stream by.
import type { ArchiveChecker, ArchiveLimits } from './archive-report.ts'
import type { DistributionFilename } from './filenames.ts'
import { sdistChecker } from './sdist.ts'
import { wheelChecker } from './wheel.ts'

export type { ArchiveChecker, ArchiveLimits, ArchiveReport } from './archive-report.ts'
export { sdistChecker } from './sdist.ts'
export { wheelChecker } from './wheel.ts'

/** The checker for a parsed file name. */
export function archiveChecker(file: DistributionFilename, limits: ArchiveLimits = {}): ArchiveChecker {
  return file.kind === 'sdist' ? sdistChecker(file, limits) : wheelChecker(file, limits)
}
