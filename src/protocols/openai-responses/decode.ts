import { ApiError } from '../../errors.ts'
import type { InferenceRequest, JsonObject } from '../../inference/request.ts'
import { responsesToChat } from '../../translation/responses.ts'
import type { OpenSealed } from '../../translation/responses-items.ts'
import type { CalledTool } from '../../translation/responses-tools.ts'
import { parseJsonBody } from '../../wire/json.ts'
import { isObject } from '../../wire/json-object.ts'
import { checkBody } from '../check-body.ts'
import { unsupported } from '../fields.ts'
import { chatRequest } from '../openai-chat/decode.ts'
import type { DecodeContext } from '../protocol.ts'
import { COMPACTION_PROMPT, compactionBody } from './compaction.ts'
import { type ExpandedInput, expandInput, inputWithoutLookup } from './expand-input.ts'
import { namedItems } from './kept-response.ts'
import type { ReasoningSeal } from './reasoning-seal.ts'
import { RESPONSES_BODY } from './schema.ts'

/** A Responses request: a chat to everybody else, with what its answer has to say again. */
export interface ResponsesRequest extends InferenceRequest {
  readonly responses: {
    /** The client's own body. */
    readonly body: JsonObject
    /** Its input items, with ids. */
    readonly input: readonly JsonObject[]
    readonly called: ReadonlyMap<string, CalledTool>
    /** Whether the response is kept. */
    readonly store: boolean
    /** The whole conversation, where the answer is to be a shorter one in its place. */
    readonly compacts?: readonly JsonObject[]
  }
}

/** Asks for a shorter conversation and not for an answer. */
const COMPACT_PATH = /\/responses\/compact\/*$/

/** What decoding needs of the server. */
export interface ResponsesSettings {
  /** Null: reasoning is sealed for nobody, and of others' seals none is opened. */
  readonly seal: ReasoningSeal | null
  /** How long responses are kept; 0: not at all. */
  readonly keepMs: number
}

/**
 * Reads the body of `POST /v1/responses` and what it names of earlier responses.
 *
 * @throws ApiError that names the parameter at fault.
 */
export function decodeResponses(
  bytes: Uint8Array,
  context: DecodeContext,
  settings: ResponsesSettings,
): ResponsesRequest | Promise<ResponsesRequest> {
  const body = parseJsonBody(bytes)
  checkBody(RESPONSES_BODY, body)
  if (body.conversation !== undefined && body.conversation !== null)
    throw unsupported('conversation', 'is not supported; go on with previous_response_id, or send the items.')
  if (body.prompt !== undefined && body.prompt !== null)
    throw unsupported('prompt', 'names a stored prompt, and none are stored here; send instructions and input.')
  if (isObject(body.prompt_cache_options) && body.prompt_cache_options.prewarm === true)
    throw unsupported(
      'prompt_cache_options.prewarm',
      'is not supported; a request with max_output_tokens 1 fills the cache.',
    )
  const compacts = COMPACT_PATH.test(context.path ?? '')
  if (compacts && settings.seal === null) throw unsupported('input', 'cannot be compacted by this server.')
  const store = !compacts && body.store !== false && settings.keepMs > 0
  if (body.background === true && !store) {
    throw new ApiError(
      'invalid_value',
      settings.keepMs > 0
        ? "'background' needs 'store': the response is read by its id."
        : "'background' needs responses to be kept, which responses.keepDays of this server says they are not.",
      { param: 'background' },
    )
  }
  const read = (input: ExpandedInput) =>
    compacts ? compactionOf(body, input, context, settings) : requestOf(body, input, store, context, settings)
  const ready = inputWithoutLookup(body)
  return ready === undefined ? expandInput(body, context.kept).then(read) : read(ready)
}

function requestOf(
  body: JsonObject,
  input: ExpandedInput,
  store: boolean,
  { requestId, surface }: DecodeContext,
  { seal }: ResponsesSettings,
): ResponsesRequest {
  input.own.forEach(checkImages)
  const open = (sealed: string) => (seal === null ? null : seal.open(sealed))
  input.own.forEach((item, i) => {
    checkCompaction(item, i, open)
  })
  const { body: translated, dropped, called } = responsesToChat({ ...body, input: input.all }, open)
  // Kept by us, or by nobody; and a response has one answer.
  const { store: _, n: __, ...chat } = translated
  if ((chat.messages as readonly unknown[]).length === 0)
    throw new ApiError('missing_required_parameter', "'input' is missing.", { param: 'input' })
  const request = namedAsSent(() => chatRequest(chat, Buffer.byteLength(JSON.stringify(chat)), requestId, surface))
  return {
    ...request,
    protocol: 'openai-responses',
    includeUsage: true,
    ...(dropped.length > 0 && { dropped }),
    responses: { body, input: namedItems(input.own, uniqueOf(requestId)), called, store },
  }
}

function compactionOf(
  body: JsonObject,
  input: ExpandedInput,
  context: DecodeContext,
  settings: ResponsesSettings,
): ResponsesRequest {
  if (input.all.length === 0)
    throw new ApiError('missing_required_parameter', "'input' is missing.", { param: 'input' })
  const all = namedItems(input.all, uniqueOf(context.requestId))
  const asked = { ...input, all: [...all, COMPACTION_PROMPT] }
  const request = requestOf(compactionBody(body), asked, false, context, settings)
  return { ...request, responses: { ...request.responses, body, compacts: all } }
}

/** The part of a request's id that ids of its answer share. */
export function uniqueOf(requestId: string): string {
  return requestId.replace(/^[a-z]+_/, '')
}

// What cannot be looked at must not be overlooked.
function checkImages(item: unknown, i: number): void {
  if (!isObject(item)) return
  for (const field of ['content', 'output']) {
    const parts = item[field]
    if (!Array.isArray(parts)) continue
    parts.forEach((part, j) => {
      if (isObject(part) && part.type === 'input_image' && typeof part.image_url !== 'string')
        throw unsupported(
          `input[${i}].${field}[${j}]`,
          'names a file as image; send image_url, which may be a data URL.',
        )
    })
  }
}

// It stands for all that was said: without it nothing is left.
function checkCompaction(item: unknown, i: number, open: OpenSealed): void {
  if (!isObject(item) || item.type !== 'compaction') return
  if (typeof open(String(item.encrypted_content)) !== 'string') {
    throw new ApiError(
      'invalid_value',
      `'input[${i}].encrypted_content' was not made by this server, or was altered.`,
      {
        param: `input[${i}].encrypted_content`,
      },
    )
  }
}

/** What chat calls by other names. */
const SENT_AS: readonly (readonly [RegExp, string])[] = [
  [/^messages\b.*/, 'input'],
  [/^response_format(\.json_schema)?/, 'text.format'],
  [/^max_tokens$/, 'max_output_tokens'],
  [/^reasoning_effort$/, 'reasoning.effort'],
  [/^(tools\[\d+\])\.function/, '$1'],
  [/^tool_choice\.(function|allowed_tools)/, 'tool_choice'],
]

// An error that chat's reader finds is told in the client's own names.
function namedAsSent(read: () => InferenceRequest): InferenceRequest {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof ApiError) || error.param === null) throw error
    const { param } = error
    const [pattern, name] = SENT_AS.find(([each]) => each.test(param)) ?? [null, '']
    if (pattern === null) throw error
    const sent = param.replace(pattern, name)
    throw new ApiError(error.code, error.message.replace(param, sent), { param: sent, cause: error })
  }
}
