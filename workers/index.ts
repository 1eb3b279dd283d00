import { createFace } from './face.ts'

export default createFace('main')
