import { ApiError } from '../errors.ts'
import type { JsonObject } from '../inference/request.ts'
import { parseJsonBody } from '../wire/json.ts'
import { isObject } from '../wire/json-object.ts'
import type { BatchError } from './batch.ts'
import { plainPath } from './endpoints.ts'

/** Longest name that a client gives a line. */
export const CUSTOM_ID_CHARS_MAX = 512

/** One request of a batch. */
export interface BatchLine {
  /** The client's name of it, by which its result is found. */
  readonly customId: string
  readonly body: JsonObject
}

/** What is wrong with a line; its number is known where it is read. */
export type LineFault = Omit<BatchError, 'line'>

/** Reads a line; answers what is wrong with it where something is. `path` is what the batch asks for. */
export function parseLine(bytes: Uint8Array, path: string): BatchLine | LineFault {
  let line: JsonObject
  try {
    line = parseJsonBody(bytes)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    return fault('invalid_json_line', null, `This line is not one JSON object. ${error.message}`)
  }
  const { custom_id: customId, method, url, body } = line
  if (customId === undefined) return fault('missing_required_parameter', 'custom_id', 'Every line needs a custom_id.')
  if (typeof customId !== 'string' || customId === '' || customId.length > CUSTOM_ID_CHARS_MAX)
    return fault(
      'invalid_value',
      'custom_id',
      `custom_id has to be a string of 1 to ${CUSTOM_ID_CHARS_MAX} characters.`,
    )
  if (method !== 'POST') return fault('invalid_method', 'method', 'method has to be "POST".')
  if (typeof url !== 'string') return fault('missing_required_parameter', 'url', `Every line needs a url: "${path}".`)
  if (plainPath(url) !== path)
    return fault('mismatched_url', 'url', `url has to be the endpoint of the batch, "${path}".`)
  if (!isObject(body)) return fault('missing_required_parameter', 'body', 'body has to be the request, a JSON object.')
  if (body.stream === true || body.background === true) {
    const param = body.stream === true ? 'stream' : 'background'
    return fault('unsupported_parameter', `body.${param}`, `Nobody listens to a line of a batch: leave ${param} out.`)
  }
  return { customId, body }
}

/** Whether a line could not be read. */
export function isFault(line: BatchLine | LineFault): line is LineFault {
  return 'code' in line
}

function fault(code: string, param: string | null, message: string): LineFault {
  return { code, param, message }
}

/** The result of a line, as it stands in an output or error file. `answer` is the body of the answer, JSON text, taken over unchanged. */
export function resultText(
  line: { readonly id: string; readonly customId: string },
  response: { readonly status: number; readonly requestId: string; readonly answer: string },
): string {
  const { id, customId } = line
  const { status, requestId } = response
  const head = JSON.stringify({ id, custom_id: customId })
  const meta = `"status_code":${status},"request_id":${JSON.stringify(requestId)}`
  return `${head.slice(0, -1)},"response":{${meta},"body":${oneLine(response.answer)}},"error":null}`
}

/** The result of a line that was not run. */
export function unrunText(
  id: string,
  customId: string,
  error: { readonly code: string; readonly message: string },
): string {
  const { code, message } = error
  return JSON.stringify({ id, custom_id: customId, response: null, error: { code, message } })
}

// Within JSON a line end can only stand between tokens.
function oneLine(json: string): string {
  return /[\r\n]/.test(json) ? json.replaceAll(/[\r\n]+/g, ' ') : json
}
