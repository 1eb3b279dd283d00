// python-tuf, go-tuf and tuf-js verify what our running service gives out, and refuse what somebody changed.
import { beforeAll } from 'vitest'
import { TUF_CLIENTS } from './clients.ts'
import { prepare } from './environments.ts'
import { verifyTests } from './verify.ts'

beforeAll(() => prepare(['tuf', 'gotuf']))
verifyTests(TUF_CLIENTS)
