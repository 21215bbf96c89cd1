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

/** A tool for a model of random weights, which is made to call it: whatever it says, the arguments are short. */
export const SWITCH = {
  name: 'set_light',
  description: 'Turns the light on or off.',
  parameters: {
    type: 'object',
    properties: { on: { type: 'boolean' } },
    required: ['on'],
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
