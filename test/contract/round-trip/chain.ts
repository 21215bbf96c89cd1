import assert from 'node:assert/strict'
import type { JsonObject } from '../../../src/inference/request.ts'
import { chatToMessages } from '../../../src/translation/messages/from-chat.ts'
import { messagesToChat } from '../../../src/translation/messages/to-chat.ts'
import { chatToResponses, responsesToChat } from '../../../src/translation/responses.ts'
import { isObject } from '../../../src/wire/json-object.ts'
import { canonical, type Form } from './canonical.ts'

/** The way of a request through the APIs, and what it loses. Every way between two of them leads through chat, the inner form. */

/** What stands for `max_tokens` where a request names none: the Messages API demands it. */
const OUTPUT_TOKENS_MAX = 4096

/** Every way there is from an API through the two others and back. */
export const RINGS: Readonly<Record<Form, readonly (readonly Form[])[]>> = {
  chat: [
    ['chat', 'responses', 'chat', 'messages', 'chat'],
    ['chat', 'messages', 'chat', 'responses', 'chat'],
  ],
  // Through chat both directions are the same.
  responses: [['responses', 'chat', 'messages', 'chat', 'responses']],
  messages: [['messages', 'chat', 'responses', 'chat', 'messages']],
}

interface Told {
  readonly body: JsonObject
  readonly dropped: readonly string[]
}

/** One translation. Sealed reasoning is taken for somebody else's, which travels unopened. */
export function translate(from: Form, to: Form, body: JsonObject): Told {
  if (from === 'responses') return responsesToChat(body)
  if (from === 'messages') return messagesToChat(body)
  return to === 'responses' ? chatToResponses(body) : chatToMessages(body, OUTPUT_TOKENS_MAX)
}

/** What was lost of a request on a way, by translation: `chat → messages: seed`. */
export interface Trip {
  readonly body: JsonObject
  readonly losses: readonly string[]
}

/** Sends a request along a way. */
export function travel(way: readonly Form[], body: JsonObject, checks: typeof checkStep = checkStep): Trip {
  const losses: string[] = []
  let at = body
  for (const [i, to] of way.slice(1).entries()) {
    const from = way[i] as Form
    const told = checks(from, to, at)
    losses.push(...told.dropped.map(loss => `${from} → ${to}: ${loss}`))
    at = told.body
  }
  return { body: at, losses }
}

/** These are not left out but become something else, which is asserted in their place. */
const CHANGED = /^temperature$|\(no JSON object\)$/

/**
 * One translation, with what has to hold for each: everything that it names is really lost, and nothing else is. So the request without
 * what was named becomes the same, and comes back as it was.
 */
export function checkStep(from: Form, to: Form, body: JsonObject): Told {
  const before = structuredClone(body)
  const told = translate(from, to, body)
  assert.deepEqual(body, before, 'a translation changed what it was given')
  const back = translate(to, from, told.body)
  assert.deepEqual(back.dropped, [], `${from} → ${to} → ${from}`)
  const came = canonical(from, limitAs(body, back.body, from))
  const lost = told.dropped.filter(loss => !CHANGED.test(loss))
  const rest = pruned(body, lost)
  const expected = canonical(from, rest)
  for (const loss of told.dropped.filter(each => CHANGED.test(each))) {
    assert.equal(loss, 'temperature', 'no session has another of this kind')
    assert.notEqual(came.temperature, expected.temperature)
    expected.temperature = came.temperature
  }
  assert.deepEqual(came, expected, `${from} → ${to} → ${from} lost more than ${told.dropped}`)
  for (const loss of lost) assert.notDeepEqual(pruned(body, [loss]), body, `${loss} is not in what ${from} was`)
  const again = translate(from, to, rest)
  assert.deepEqual(
    again.dropped,
    told.dropped.filter(each => CHANGED.test(each)),
    `${from} → ${to} names what was gone`,
  )
  return told
}

/** A limit that the way put in is not compared. */
export function limitAs(first: JsonObject, last: JsonObject, form: Form): JsonObject {
  const name = form === 'responses' ? 'max_output_tokens' : 'max_tokens'
  if (first[name] !== undefined || first.max_completion_tokens !== undefined) return last
  const { [name]: _, ...rest } = last
  return rest
}

/** A request without what stands at paths such as `input[3].content[1].detail (a word)`. */
export function pruned(body: JsonObject, losses: readonly string[]): JsonObject {
  const copy = structuredClone(body)
  const gone = Symbol('gone')
  for (const loss of losses) {
    const keys = [...loss.replace(/ \(.*\)$/, '').matchAll(/[^.[\]]+/g)].map(([key]) => key)
    const last = keys.pop() as string
    let holder: unknown = copy
    for (const key of keys) holder = (holder as Record<string, unknown> | undefined)?.[key]
    if (Array.isArray(holder)) holder[Number(last)] = gone
    else if (isObject(holder)) delete holder[last]
    // A thought has its place in the order of its turn.
    const [list = '', at = '', field] = keys
    const turn = (copy[list] as JsonObject[] | undefined)?.[Number(at)]
    if (field === 'reasoning_details' && keys.length === 3 && Array.isArray(turn?.block_order)) {
      let thoughts = 0
      for (const [k, kind] of turn.block_order.entries())
        if ((kind === 'thinking' || kind === gone) && thoughts++ === Number(last)) turn.block_order[k] = gone
    }
  }
  return swept(copy, gone) as JsonObject
}

function swept(value: unknown, gone: symbol): unknown {
  if (Array.isArray(value)) return value.filter(each => each !== gone).map(each => swept(each, gone))
  if (!isObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, swept(each, gone)]))
}
