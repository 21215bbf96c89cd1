import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { JsonObject } from '../../../src/inference/request.ts'
import type { Form } from './canonical.ts'

/** A whole conversation as a program sends it in the request for its next turn; `sessions/README.md` tells how they were made. */
export interface Session {
  readonly from: Form
  readonly title: string
  /** The program and its version. */
  readonly client: string
  readonly request: JsonObject
}

const FOLDER = join(import.meta.dirname, '../sessions')

/** All of them, by name. */
export const sessions: readonly (readonly [string, Session])[] = globSync('*.json', { cwd: FOLDER })
  .sort()
  .map(file => [basename(file, '.json'), JSON.parse(readFileSync(join(FOLDER, file), 'utf8'))])
