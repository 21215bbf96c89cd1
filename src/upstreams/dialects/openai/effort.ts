import type { JsonObject } from '../../../inference/request.ts'
import { isObject } from '../../../wire/json-object.ts'

/** Puts a model's own word for how hard to think in place of the client's, wherever it says one; changes `body`, but nothing in it. */
export function translateEffort(body: JsonObject, words: Readonly<Record<string, string>>): void {
  const known = (word: unknown) => (typeof word === 'string' && Object.hasOwn(words, word) ? words[word] : undefined)
  const said = known(body.reasoning_effort)
  if (said !== undefined) body.reasoning_effort = said
  const { reasoning } = body
  const inner = isObject(reasoning) ? known(reasoning.effort) : undefined
  if (inner !== undefined) body.reasoning = { ...(reasoning as JsonObject), effort: inner }
}
