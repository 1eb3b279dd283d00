// The deployed script: the index, and beside it every repository that is signed elsewhere.
import { createRepositories } from './repositories.ts'

export default createRepositories()
