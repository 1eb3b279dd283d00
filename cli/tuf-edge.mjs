#!/usr/bin/env node
// The `tuf-edge` command: the same bootstrap as every npm script, then cli/main.ts.
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { run } from './bootstrap.mjs'

run(['node', join(dirname(fileURLToPath(import.meta.url)), 'main.ts'), ...process.argv.slice(2)])
