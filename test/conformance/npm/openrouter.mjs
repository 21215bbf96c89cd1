import assert from 'node:assert/strict'
import { OpenRouter } from '@openrouter/sdk'
import * as errors from '@openrouter/sdk/models/errors'
import { refusal, refusals, run, script, world } from '../lib/checks.mjs'
import { HELLO, TOOL } from '../lib/openai-shapes.mjs'

/** OpenRouter's own package. */

const { models, url } = world
const clientWith = (apiKey = world.key, options = {}) =>
  new OpenRouter({ apiKey, serverURL: `${url}/api/v1`, ...options })
/** By itself it repeats server errors for up to an hour. */
const ONCE = { retryConfig: { strategy: 'none' } }
const client = clientWith()
const send = (chatRequest, from = client) => from.chat.send({ chatRequest })

const CLASSES = {
  401: errors.UnauthorizedResponseError,
  402: errors.PaymentRequiredResponseError,
  404: errors.NotFoundResponseError,
  413: errors.PayloadTooLargeResponseError,
  429: errors.TooManyRequestsResponseError,
  503: errors.ServiceUnavailableResponseError,
}

/** @returns {import('../lib/checks.mjs').Usage} */
function usageOf(usage) {
  return {
    input: usage.promptTokens,
    cached: usage.promptTokensDetails?.cachedTokens,
    output: usage.completionTokens,
    reasoning: usage.completionTokensDetails?.reasoningTokens,
    cost: usage.cost,
  }
}

await run({
  async chat() {
    const answer = await send({ model: models.plain, messages: HELLO, maxTokens: 12 })
    return { usage: usageOf(answer.usage), requests: 1 }
  },

  async stream() {
    let text = ''
    let usage
    for await (const chunk of await send({ model: models.plain, messages: HELLO, maxTokens: 12, stream: true })) {
      text += (chunk.choices[0]?.delta.content ?? '') + (chunk.choices[0]?.delta.reasoning ?? '')
      usage ??= chunk.usage
    }
    assert.ok(text.length > 0)
    return { usage: usageOf(usage), requests: 1 }
  },

  async reasoning() {
    const answer = await send({ model: models.talker, messages: HELLO })
    assert.equal(answer.choices[0].message.content, script.text)
    assert.equal(answer.choices[0].message.reasoning, script.reasoning)
    return { usage: usageOf(answer.usage) }
  },

  async tools() {
    const tools = [{ type: 'function', function: TOOL }]
    const first = await send({ model: models.caller, messages: HELLO, tools })
    const { message } = first.choices[0]
    assert.equal(message.toolCalls[0].function.name, TOOL.name)
    const result = { role: 'tool', toolCallId: message.toolCalls[0].id, content: 'hello: sunny' }
    const second = await send({ model: models.caller, messages: [...HELLO, message, result], tools })
    assert.equal(second.choices[0].message.content, `${script.resultPrefix}hello: sunny`)
    const [a, b] = [usageOf(first.usage), usageOf(second.usage)]
    return { usage: { input: a.input + b.input, output: a.output + b.output }, requests: 2 }
  },

  async models() {
    const ids = []
    for await (const page of await client.models.list()) ids.push(...page.result.data.map(({ id }) => id))
    assert.ok(ids.includes(models.talker))
  },

  async account() {
    const credits = await client.credits.getCredits()
    assert.ok(credits.data.totalCredits > 0)
    const key = await client.apiKeys.getCurrentKeyMetadata()
    assert.ok(key.data.usage >= 0)
  },

  async generation() {
    const answer = await send({ model: models.talker, messages: HELLO })
    const { data } = await client.generations.getGeneration({ id: answer.id })
    assert.equal(data.model, models.talker)
    assert.equal(data.totalCost, answer.usage.cost)
    return { usage: { input: data.nativeTokensPrompt, output: data.nativeTokensCompletion, cost: data.totalCost } }
  },

  ...refusals({
    repeats: 0,
    ask: ({ key, model = models.talker, text = 'Hello' }) =>
      send({ model, messages: [{ role: 'user', content: text }] }, clientWith(key, model === models.down ? ONCE : {})),
    isError(error, status) {
      assert.equal(error.constructor, CLASSES[status], String(error))
      assert.equal(error.statusCode, status)
    },
  }),

  async cut() {
    let text = ''
    const error = await refusal(async () => {
      for await (const chunk of await send({ model: models.dies, messages: HELLO, stream: true })) {
        text += chunk.choices[0]?.delta.content ?? ''
        // The package hands the failure over as a part of a chunk.
        if (chunk.error !== undefined) throw new Error(chunk.error.message)
      }
    })
    assert.match(text, /^half /)
    return { requests: 1, detail: error.constructor.name }
  },
})
