import { Hono } from 'hono'
import type { Env } from './env.ts'

const app = new Hono<{ Bindings: Env }>()
app.get('/', (c) => c.text('tuf-edge\n'))
export default app
