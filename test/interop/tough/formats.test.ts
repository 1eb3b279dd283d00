// tough reads what our builders write.
import { beforeAll } from 'vitest'
import { prepare } from '../environments.ts'
import { formatTests, strayTests } from '../formats.ts'

beforeAll(() => prepare(['tough']))
formatTests(['tough'])
strayTests(['tough'])
