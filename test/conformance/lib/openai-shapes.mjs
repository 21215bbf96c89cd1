/** Values that several clients of OpenAI's wire share. */

export const HELLO = [{ role: 'user', content: 'Hello' }]

/** A tool as the scripted model can call it. */
export const TOOL = {
  name: 'weather',
  description: 'The weather in a city.',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  },
}

/** @param {any} usage As OpenAI's chat tells it. @returns {import('./checks.mjs').Usage | undefined} */
export function usageOfChat(usage) {
  if (usage == null) return undefined
  return {
    input: usage.prompt_tokens,
    cached: usage.prompt_tokens_details?.cached_tokens,
    output: usage.completion_tokens,
    reasoning: usage.completion_tokens_details?.reasoning_tokens,
  }
}
