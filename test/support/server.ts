import { after } from 'node:test'
import { endAll } from './server-process.ts'

/** The same for test files: all processes and homes are gone after the file's tests. */
export * from './server-process.ts'

after(endAll)
