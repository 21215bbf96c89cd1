import type { JsonObject } from '../../../inference/request.ts'
import { isObject } from '../../../wire/json-object.ts'

/**
 * How an upstream is told that the last message, the assistant's, begins the answer: `unchanged`, as the client said it; `prefix`, by
 * `prefix: true` on the message (DeepSeek's beta); `flags`, by the switches of the chat template (vLLM, SGLang).
 */
export type Continuation = 'unchanged' | 'prefix' | 'flags'

/** Tells an upstream in its own words; changes `body`, but nothing in it. */
export function continueLast(body: JsonObject, how: Continuation = 'unchanged'): void {
  const { messages } = body
  if (how === 'unchanged' || !Array.isArray(messages)) return
  const last: unknown = messages.at(-1)
  if (!isObject(last)) return
  if (how === 'prefix') {
    body.messages = [...messages.slice(0, -1), { ...last, prefix: true }]
    return
  }
  const { prefix: _, ...bare } = last
  body.messages = [...messages.slice(0, -1), bare]
  body.add_generation_prompt = false
  body.continue_final_message = true
}
