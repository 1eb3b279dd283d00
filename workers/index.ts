// The deployed script: one face, for the one repository that the public URL space has.
import { createFace } from './face.ts'

export default createFace('main')
