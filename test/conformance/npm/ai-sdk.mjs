import assert from 'node:assert/strict'
import { createAnthropic } from '@ai-sdk/anthropic'
import { createDeepInfra } from '@ai-sdk/deepinfra'
import { createDeepSeek } from '@ai-sdk/deepseek'
import { createOpenAI } from '@ai-sdk/openai'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { createOpenRouter } from '@openrouter/ai-sdk-provider'
import {
  APICallError,
  embedMany,
  generateText,
  jsonSchema,
  Output,
  RetryError,
  stepCountIs,
  streamText,
  tool,
} from 'ai'
import { refusals, run, script, world } from '../lib/checks.mjs'
import { SWITCH, TOOL } from '../lib/openai-shapes.mjs'

/** Vercel's AI SDK with one provider, named by the first argument. */

const { models, url } = world

/**
 * What each provider offers: `model` for chats; `completion` and `embedding` where it has them. `reasons` is false where the
 * provider has no eyes for reasoning.
 */
const PROVIDERS = {
  openai(apiKey) {
    const provider = createOpenAI({ apiKey, baseURL: `${url}/v1` })
    return { model: provider, embedding: provider.embedding, keepsItems: true }
  },
  'openai-chat'(apiKey) {
    const provider = createOpenAI({ apiKey, baseURL: `${url}/v1` })
    return { model: provider.chat, completion: provider.completion, reasons: false }
  },
  'openai-compatible'(apiKey) {
    const provider = createOpenAICompatible({
      name: 'headrace',
      apiKey,
      baseURL: `${url}/v1`,
      supportsStructuredOutputs: true,
    })
    return { model: provider, completion: provider.completionModel, embedding: provider.embeddingModel }
  },
  deepinfra(apiKey) {
    const provider = createDeepInfra({ apiKey, baseURL: `${url}/v1` })
    return { model: provider, completion: provider.completionModel, embedding: provider.embeddingModel }
  },
  deepseek(apiKey) {
    return { model: createDeepSeek({ apiKey, baseURL: url }) }
  },
  anthropic(apiKey) {
    return { model: createAnthropic({ apiKey, baseURL: `${url}/anthropic/v1` }) }
  },
  openrouter(apiKey) {
    // Its model for completions refuses the tool choice that the SDK always hands over.
    return { model: createOpenRouter({ apiKey, baseURL: `${url}/api/v1` }).chat }
  },
}

const create = PROVIDERS[process.argv[2]]
const { model, completion, embedding, reasons = true, keepsItems = false } = create(world.key)

/** @returns {import('../lib/checks.mjs').Usage} */
function usageOf({ inputTokens, inputTokenDetails, outputTokens, outputTokenDetails }) {
  return {
    input: inputTokens,
    cached: inputTokenDetails?.cacheReadTokens,
    output: outputTokens,
    reasoning: outputTokenDetails?.reasoningTokens,
  }
}

const tools = {
  [TOOL.name]: tool({
    description: TOOL.description,
    inputSchema: jsonSchema(TOOL.parameters),
    execute: async ({ city }) => `${city}: sunny`,
  }),
}

/** Reads a stream to its end; errors come as parts, not as throws. */
async function read(result) {
  const parts = { text: '', reasoning: '', errors: [] }
  for await (const part of result.fullStream) {
    if (part.type === 'text-delta') parts.text += part.text
    if (part.type === 'reasoning-delta') parts.reasoning += part.text
    if (part.type === 'error') parts.errors.push(part.error)
  }
  return parts
}

const quiet = { onError() {} }

await run({
  async chat() {
    const answer = await generateText({ model: model(models.plain), prompt: 'Hello', maxOutputTokens: 12 })
    return { usage: usageOf(answer.usage), requestId: answer.response.headers['x-request-id'] }
  },

  async stream() {
    const result = streamText({ model: model(models.plain), prompt: 'Hello', maxOutputTokens: 12, ...quiet })
    const { text, reasoning, errors } = await read(result)
    assert.deepEqual(errors, [])
    assert.ok((text + reasoning).length > 0)
    return { usage: usageOf(await result.usage), requestId: (await result.response).headers?.['x-request-id'] }
  },

  ...(reasons && {
    async reasoning() {
      const result = streamText({ model: model(models.talker), prompt: 'Hello', ...quiet })
      const { text, reasoning, errors } = await read(result)
      assert.deepEqual(errors, [])
      assert.equal(text, script.text)
      assert.equal(reasoning, script.reasoning)
      return { usage: usageOf(await result.usage) }
    },
  }),

  async tools() {
    const result = streamText({
      model: model(models.caller),
      prompt: 'Hello',
      tools,
      toolChoice: 'auto',
      stopWhen: stepCountIs(3),
      ...quiet,
    })
    const { text, errors } = await read(result)
    assert.deepEqual(errors, [])
    assert.equal(text, `${script.resultPrefix}hello: sunny`)
    return { usage: usageOf(await result.totalUsage), requests: 2 }
  },

  async 'tool required'() {
    const answer = await generateText({
      model: model(models.plain),
      prompt: 'Hello',
      tools: { [SWITCH.name]: tool({ description: SWITCH.description, inputSchema: jsonSchema(SWITCH.parameters) }) },
      toolChoice: 'required',
      maxOutputTokens: 400,
    })
    assert.equal(answer.toolCalls[0].toolName, SWITCH.name)
    assert.equal(typeof answer.toolCalls[0].input.on, 'boolean')
    return { usage: usageOf(answer.usage) }
  },

  async structured() {
    // One that a provider without schemas, which asks for any JSON, gets as well.
    const schema = jsonSchema({
      type: 'object',
      properties: { greeting: { type: 'string' } },
      required: ['greeting'],
      additionalProperties: false,
    })
    const answer = await generateText({
      model: model(models.caller),
      prompt: 'Hello',
      output: Output.object({ schema }),
    })
    assert.deepEqual(answer.output, { greeting: 'hello' })
    return { usage: usageOf(answer.usage) }
  },

  ...(keepsItems && {
    async 'second turn'() {
      // Without `store: false` this provider sends the first answer back as references to items.
      const first = await generateText({ model: model(models.talker), prompt: 'Hello' })
      const messages = [
        { role: 'user', content: 'Hello' },
        ...first.response.messages,
        { role: 'user', content: 'Again' },
      ]
      const second = await generateText({ model: model(models.talker), messages })
      assert.equal(second.text, script.text)
      assert.ok(second.usage.inputTokens > first.usage.inputTokens)
      return { requests: 2 }
    },
  }),

  ...(completion && {
    async completions() {
      const result = streamText({ model: completion(models.plain), prompt: 'Once', maxOutputTokens: 8, ...quiet })
      const { text, errors } = await read(result)
      assert.deepEqual(errors, [])
      assert.ok(text.length > 0)
      return { usage: usageOf(await result.usage) }
    },
  }),

  ...(embedding && {
    async embeddings() {
      const answer = await embedMany({ model: embedding(models.embedder), values: ['one', 'three'] })
      assert.equal(answer.embeddings[1].length, script.dimensions)
      return { usage: { input: answer.usage.tokens, output: 0 } }
    },
  }),

  ...refusals({
    repeats: 1,
    ask: ({ key = world.key, model: id = models.talker, text = 'Hello' }) =>
      generateText({ model: create(key).model(id), prompt: text, maxRetries: 1 }),
    isError(thrown, status) {
      const error = RetryError.isInstance(thrown) ? thrown.lastError : thrown
      assert.ok(APICallError.isInstance(error), String(error))
      assert.equal(error.statusCode, status)
      assert.equal(error.isRetryable, status === 429 || status === 503)
      if (status === 404) assert.ok(error.message.includes(models.missing), error.message)
      assert.ok(!error.message.startsWith('{') && error.message.includes(' '), error.message)
    },
  }),

  async cut() {
    const { text, errors } = await read(
      streamText({ model: model(models.dies), prompt: 'Hello', maxRetries: 0, ...quiet }),
    )
    assert.match(text, /^half /)
    assert.equal(errors.length, 1)
    return { requests: 1, detail: errors[0]?.constructor?.name }
  },

  async cancel() {
    const abort = new AbortController()
    const result = streamText({ model: model(models.endless), prompt: 'Hello', abortSignal: abort.signal, ...quiet })
    let parts = 0
    for await (const _ of result.fullStream) if (++parts > 8) abort.abort()
    assert.ok(parts > 8)
    return { requests: 1, cancelled: true }
  },
})
