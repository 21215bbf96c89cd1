import assert from 'node:assert/strict'
import { HumanMessage, ToolMessage } from '@langchain/core/messages'
import { tool } from '@langchain/core/tools'
import { ChatDeepSeek } from '@langchain/deepseek'
import { ChatOpenAI, OpenAI, OpenAIEmbeddings } from '@langchain/openai'
import { ChatOpenRouter } from '@langchain/openrouter'
import { z } from 'zod'
import { refusal, refusals, run, script, world } from '../lib/checks.mjs'
import { TOOL } from '../lib/openai-shapes.mjs'

/** LangChain with one of its integrations, named by the first argument. */

const { models, url } = world

const INTEGRATIONS = {
  openai: {
    chat: options => new ChatOpenAI({ ...options, configuration: { baseURL: `${url}/v1` } }),
    reasons: false,
    completion: options => new OpenAI({ ...options, configuration: { baseURL: `${url}/v1` } }),
    embedding: options => new OpenAIEmbeddings({ ...options, configuration: { baseURL: `${url}/v1` } }),
  },
  'openai-responses': {
    chat: options => new ChatOpenAI({ ...options, useResponsesApi: true, configuration: { baseURL: `${url}/v1` } }),
    reasons: false,
  },
  deepseek: { chat: options => new ChatDeepSeek({ ...options, configuration: { baseURL: url } }), reasons: true },
  // It throws nothing in a stream: that it broke is told by the finish reason alone.
  openrouter: {
    chat: options => new ChatOpenRouter({ ...options, baseURL: `${url}/api/v1` }),
    reasons: true,
    failsAloud: false,
  },
}

const { chat, reasons, failsAloud = true, completion, embedding } = INTEGRATIONS[process.argv[2]]
const with_ = (model, more = {}) => chat({ apiKey: world.key, model, maxRetries: 1, ...more })

/** @returns {import('../lib/checks.mjs').Usage} */
function usageOf({ usage_metadata: usage }) {
  return {
    input: usage.input_tokens,
    cached: usage.input_token_details?.cache_read,
    output: usage.output_tokens,
    reasoning: usage.output_token_details?.reasoning,
  }
}

/** All chunks of a stream as one message. */
async function gathered(stream) {
  let whole
  for await (const chunk of stream) whole = whole === undefined ? chunk : whole.concat(chunk)
  return whole
}

const weather = tool(async ({ city }) => `${city}: sunny`, {
  name: TOOL.name,
  description: TOOL.description,
  schema: z.object({ city: z.string() }),
})

await run({
  async chat() {
    const message = await with_(models.plain, { maxTokens: 16 }).invoke('Hello')
    return { usage: usageOf(message), requests: 1 }
  },

  async stream() {
    const message = await gathered(await with_(models.plain, { maxTokens: 16 }).stream('Hello'))
    return { usage: usageOf(message), requests: 1 }
  },

  ...(reasons && {
    async reasoning() {
      const message = await gathered(await with_(models.talker).stream('Hello'))
      assert.equal(message.text, script.text)
      assert.equal(message.additional_kwargs.reasoning_content, script.reasoning)
      return { usage: usageOf(message) }
    },
  }),

  async tools() {
    const bound = with_(models.caller).bindTools([weather])
    const first = await gathered(await bound.stream('Hello'))
    assert.deepEqual(
      first.tool_calls.map(({ name, args }) => [name, args]),
      [[TOOL.name, { city: 'hello' }]],
    )
    const result = await weather.invoke(first.tool_calls[0])
    assert.ok(result instanceof ToolMessage)
    const second = await bound.invoke([new HumanMessage('Hello'), first, result])
    assert.equal(second.text, `${script.resultPrefix}hello: sunny`)
    const [a, b] = [usageOf(first), usageOf(second)]
    return { usage: { input: a.input + b.input, output: a.output + b.output }, requests: 2 }
  },

  async structured() {
    const schema = z.object({ greeting: z.string() })
    const answer = await with_(models.caller).withStructuredOutput(schema).invoke('Hello')
    assert.deepEqual(answer, { greeting: 'hello' })
  },

  ...(completion && {
    async completions() {
      const text = await completion({ apiKey: world.key, model: models.plain, maxTokens: 8 }).invoke('Once')
      assert.ok(text.length > 0)
      return { requests: 1 }
    },
  }),

  ...(embedding && {
    async embeddings() {
      const vectors = await embedding({ apiKey: world.key, model: models.embedder }).embedDocuments(['one', 'three'])
      assert.equal(vectors[1].length, script.dimensions)
      return { requests: 1 }
    },
  }),

  ...refusals({
    repeats: 1,
    ask: ({ key = world.key, model = models.talker, text = 'Hello' }) => with_(model, { apiKey: key }).invoke(text),
    isError(error, status) {
      assert.equal(error.status ?? error.statusCode, status, String(error))
      if (status === 404) assert.ok(error.message.includes(models.missing), error.message)
    },
  }),

  async cut() {
    const stream = async () => gathered(await with_(models.dies, { maxRetries: 0 }).stream('Hello'))
    if (failsAloud) return { requests: 1, detail: (await refusal(stream)).constructor.name }
    const message = await stream()
    assert.equal(message.response_metadata.finish_reason, 'error')
    return { requests: 1, detail: 'finish_reason error' }
  },
})
