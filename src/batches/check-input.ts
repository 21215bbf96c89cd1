import type { FileHandle } from 'node:fs/promises'
import type { BatchError } from './batch.ts'
import { isFault, parseLine } from './batch-line.ts'
import { InputIndex, LINES_MAX } from './input-index.ts'
import { readLines } from './read-lines.ts'

/** What is wrong with more lines than this is not listed. */
const ERRORS_MAX = 100

/** What an input file holds. */
export interface CheckedInput {
  readonly index: InputIndex
  /** The one model that all lines name; null when there are several, or one names none. */
  readonly model: string | null
  /** Empty: the batch can run. */
  readonly errors: readonly BatchError[]
}

/** Reads an input file to its end and checks every line. Stops, with what was found by then, when `abandoned` says so. */
export async function checkInput(
  file: FileHandle,
  path: string,
  lineBytesMax: number,
  abandoned: () => boolean,
): Promise<CheckedInput> {
  const index = new InputIndex()
  const errors: BatchError[] = []
  const seen = new Map<string, number>()
  const models = new Set<unknown>()
  for await (const line of readLines(file, lineBytesMax)) {
    if (abandoned() || errors.length >= ERRORS_MAX) break
    if (index.count === LINES_MAX) {
      errors.push(ofFile('too_many_requests', `A batch has at most ${LINES_MAX} lines; split the file.`))
      break
    }
    index.add(line)
    const { number, bytes } = line
    if (bytes === null) {
      const message = `The line is longer than ${lineBytesMax} bytes, the longest that a request may be.`
      errors.push({ code: 'request_too_large', message, line: number, param: null })
      continue
    }
    const parsed = parseLine(bytes, path)
    if (isFault(parsed)) {
      errors.push({ ...parsed, line: number })
      continue
    }
    const before = seen.get(parsed.customId)
    if (before === undefined) seen.set(parsed.customId, number)
    else {
      const message = `The custom_id ${JSON.stringify(parsed.customId)} is that of line ${before} too; each has to be unique.`
      errors.push({ code: 'duplicate_custom_id', message, line: number, param: 'custom_id' })
    }
    if (models.size < 2) models.add(parsed.body.model)
  }
  if (index.count === 0 && !abandoned()) errors.push(ofFile('empty_file', 'The file has no requests.'))
  const [model] = models
  return { index, model: models.size === 1 && typeof model === 'string' ? model : null, errors }
}

function ofFile(code: string, message: string): BatchError {
  return { code, message, line: null, param: null }
}
