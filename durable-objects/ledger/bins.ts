// Which bin a project is in: computed, wherever it is needed, because a row that says so could be wrong.
import { shardOf } from '../../tuf/bins.ts'

/** Sharded profile, 256 bins: the bin is the first two digits of the project's shard. */
export const binOfShard = (shard: string): string => `bin-${shard.slice(0, 2)}`
export const binOfProject = (project: string): string => binOfShard(shardOf(project))
