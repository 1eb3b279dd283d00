// The four kinds of metadata in one place, for those who read all of them.
export type { DelegatedRole, Delegations, SuccinctRoles } from './delegations.ts'
export type { Common, Envelope, RoleType } from './envelope.ts'
export type { MetaFile } from './meta-file.ts'
export { type KeyPolicy, parseRoot, type Root, TOP_LEVEL_ROLES, type TopLevelRole } from './root.ts'
export { parseSnapshot, type Snapshot } from './snapshot.ts'
export { parseTargets, type TargetFile, type Targets } from './targets.ts'
export { parseTimestamp, type Timestamp } from './timestamp.ts'
export type { RoleKeys, Signature } from './verify.ts'
