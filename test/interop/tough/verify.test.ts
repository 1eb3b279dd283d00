// tough verifies what our running service gives out.
import { beforeAll } from 'vitest'
import { prepare } from '../environments.ts'
import { verifyTests } from '../verify.ts'

beforeAll(() => prepare(['tough']))
verifyTests(['tough'])
