// Turns a parser that pulls bytes into an ArchiveChecker that is given them. State: the pipe between, the parser's outcome.
import type { ArchiveChecker, ArchiveReport } from './archive-report.ts'
import { ByteFeed, EndOfInput } from './byte-feed.ts'
import { Refusal } from './refusal.ts'

/** Runs `parse` over what is written. `kind` names the archive in messages: 'wheel', 'sdist'. */
export function checkerFor(kind: string, parse: (feed: ByteFeed) => Promise<ArchiveReport>): ArchiveChecker {
  const feed = new ByteFeed()
  const outcome = run(kind, feed, parse)
  // `end` hands the outcome on; until then a failure waits in the pipe, and is nobody's unhandled rejection.
  outcome.catch(() => undefined)
  return {
    write: (chunk) => feed.write(chunk),
    end: () => {
      feed.end()
      return outcome
    },
    abort: () => feed.close({ error: new Refusal(`The upload of the ${kind} was given up: send it again.`) }),
  }
}

async function run(
  kind: string,
  feed: ByteFeed,
  parse: (feed: ByteFeed) => Promise<ArchiveReport>,
): Promise<ArchiveReport> {
  try {
    const report = await parse(feed)
    feed.close()
    return report
  } catch (error) {
    const told = error instanceof EndOfInput ? new Refusal(`The ${kind} is cut short: build and send it again.`) : error
    feed.close({ error: told })
    throw told
  }
}
