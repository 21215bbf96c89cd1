import { ApiError } from '../../errors.ts'
import type { JsonObject } from '../../inference/request.ts'
import { inputItems } from '../../translation/responses.ts'
import { isObject } from '../../wire/json-object.ts'
import type { KeptReader } from '../protocol.ts'
import { type KeptResponse, readKeptItem, readKeptResponse, UNFINISHED } from './kept-response.ts'

/** Longest chain of responses that is followed; conversations of agents have some hundred turns. */
const CHAIN_RESPONSES_MAX = 1024
/** Most JSON that is read of kept responses for one request: more than any context holds. */
const KEPT_CHARS_MAX = 32 * 1024 * 1024

/** What a request works on. */
export interface ExpandedInput {
  /** Everything: what was said in the responses before, and the request's own items. */
  readonly all: readonly unknown[]
  /** The request's own, references looked up. */
  readonly own: readonly unknown[]
}

/** The request's own items where nothing has to be looked up; undefined where something has. */
export function inputWithoutLookup(body: JsonObject): ExpandedInput | undefined {
  const own = inputItems(body.input)
  if (typeof body.previous_response_id === 'string' || own.some(isReference)) return undefined
  return { all: own, own }
}

/**
 * Puts what `previous_response_id` and item references name into the input.
 *
 * @throws ApiError 400 for what is not kept (any more), is not over, or is too long.
 */
export async function expandInput(body: JsonObject, kept: KeptReader | undefined): Promise<ExpandedInput> {
  const reading = new Reading(kept)
  const own: unknown[] = []
  for (const [i, item] of inputItems(body.input).entries())
    own.push(isReference(item) ? await reading.item(item.id, `input[${i}].id`) : item)
  const before = typeof body.previous_response_id === 'string' ? await reading.chain(body.previous_response_id) : []
  return { all: [...before, ...own], own }
}

function isReference(item: unknown): item is JsonObject & { id: string } {
  return isObject(item) && item.type === 'item_reference'
}

/** Looks up what one request names, within bounds. */
class Reading {
  readonly #kept: KeptReader | undefined
  readonly #responses = new Map<string, KeptResponse>()
  #chars = 0

  constructor(kept: KeptReader | undefined) {
    this.#kept = kept
  }

  /** All that was said up to and with a response, oldest first. */
  async chain(lastId: string): Promise<readonly unknown[]> {
    const turns: (readonly unknown[])[] = []
    for (let id: unknown = lastId; typeof id === 'string'; ) {
      if (turns.length === CHAIN_RESPONSES_MAX) throw tooLong()
      const found = await this.#response(id)
      if (found === null) throw responseNotFound(id, lastId)
      const { response, input } = found
      if (UNFINISHED.includes(String(response.status))) {
        throw new ApiError(
          'invalid_value',
          `The response ${JSON.stringify(id)} is still ${String(response.status)}; wait until it has ended.`,
          { param: 'previous_response_id' },
        )
      }
      turns.push([...input, ...(response.output as readonly unknown[])])
      id = response.previous_response_id
    }
    return turns.reverse().flat()
  }

  /** The item of an id. */
  async item(id: string, path: string): Promise<unknown> {
    const where = (await this.#kept?.find('response_item', id)) ?? null
    if (where === null) throw itemNotFound(id, path)
    const { response, output } = readKeptItem(where)
    const found = await this.#response(response)
    const item = (found?.response.output as readonly unknown[] | undefined)?.[output]
    if (item === undefined) throw itemNotFound(id, path)
    return item
  }

  async #response(id: string): Promise<KeptResponse | null> {
    const known = this.#responses.get(id)
    if (known !== undefined) return known
    const json = (await this.#kept?.find('response', id)) ?? null
    if (json === null) return null
    this.#chars += json.length
    if (this.#chars > KEPT_CHARS_MAX) throw tooLong()
    const found = readKeptResponse(json)
    this.#responses.set(id, found)
    return found
  }
}

function responseNotFound(id: string, lastId: string): ApiError {
  const which = id === lastId ? '' : `, which ${JSON.stringify(lastId)} goes on from,`
  return new ApiError(
    'previous_response_not_found',
    `The response ${JSON.stringify(id)}${which} is not kept here for this organisation.`,
    { param: 'previous_response_id' },
  )
}

function itemNotFound(id: string, path: string): ApiError {
  return new ApiError(
    'invalid_value',
    `'${path}': no item ${JSON.stringify(id)} is kept for this organisation. Send the item itself instead of a reference.`,
    { param: path },
  )
}

function tooLong(): ApiError {
  return new ApiError(
    'context_length_exceeded',
    `The conversation has more than ${CHAIN_RESPONSES_MAX} responses or ${KEPT_CHARS_MAX} characters. Begin a new one with a summary of it.`,
    { param: 'previous_response_id' },
  )
}
