import assert from 'node:assert/strict'
import { DeepInfra, DeepInfraEmbedding } from '@llamaindex/deepinfra'
import { OpenAI, OpenAIEmbedding } from '@llamaindex/openai'
import { refusal, refusals, run, script, world } from '../lib/checks.mjs'
import { TOOL, usageOfChat } from '../lib/openai-shapes.mjs'

/** LlamaIndex with one of its integrations, named by the first argument. */

const { models, url } = world

const INTEGRATIONS = {
  openai: {
    llm: options => new OpenAI({ ...options, additionalSessionOptions: { baseURL: `${url}/v1` } }),
    embedding: () => new OpenAIEmbedding({ model: models.embedder, apiKey: world.key, baseURL: `${url}/v1` }),
  },
  deepinfra: {
    llm: options => new DeepInfra({ ...options, additionalSessionOptions: { baseURL: `${url}/v1/openai` } }),
    embedding: () => new DeepInfraEmbedding({ model: models.embedder, apiToken: world.key }),
  },
}

const { llm, embedding } = INTEGRATIONS[process.argv[2]]
const with_ = (model, more = {}) => llm({ model, apiKey: world.key, maxRetries: 1, ...more })
const HELLO = { role: 'user', content: 'Hello' }
const weather = { metadata: TOOL, call: async ({ city }) => `${city}: sunny` }

await run({
  async chat() {
    const { message, raw } = await with_(models.plain, { maxTokens: 12 }).chat({ messages: [HELLO] })
    assert.equal(message.role, 'assistant')
    return { usage: usageOfChat(raw.usage), requests: 1 }
  },

  async stream() {
    let text = ''
    for await (const { delta } of await with_(models.talker).chat({ messages: [HELLO], stream: true })) text += delta
    assert.equal(text, script.text)
    return { requests: 1 }
  },

  async tools() {
    // It asks whether a model may call by a list of names that it knows.
    const model = with_(models.caller, { supportToolCall: true })
    Object.defineProperty(model, 'supportToolCall', { value: true })
    const { message, raw } = await model.chat({ messages: [HELLO], tools: [weather] })
    const [call] = message.options?.toolCall ?? []
    assert.equal(call?.name, TOOL.name)
    const result = {
      role: 'user',
      content: await weather.call(JSON.parse(call.input)),
      options: { toolResult: { id: call.id, result: 'hello: sunny', isError: false } },
    }
    const second = await model.chat({ messages: [HELLO, message, result], tools: [weather] })
    assert.equal(second.message.content, `${script.resultPrefix}hello: sunny`)
    const [a, b] = [usageOfChat(raw.usage), usageOfChat(second.raw.usage)]
    return { usage: { input: a.input + b.input, output: a.output + b.output }, requests: 2 }
  },

  async embeddings() {
    const vectors = await embedding().getTextEmbeddings(['one', 'three'])
    assert.equal(vectors[1].length, script.dimensions)
    return { requests: 1 }
  },

  ...refusals({
    repeats: 1,
    ask: ({ key = world.key, model = models.talker, text = 'Hello' }) =>
      with_(model, { apiKey: key }).chat({ messages: [{ role: 'user', content: text }] }),
    isError(error, status) {
      assert.equal(error.status, status, String(error))
    },
  }),

  async cut() {
    let text = ''
    const error = await refusal(async () => {
      for await (const { delta } of await with_(models.dies).chat({ messages: [HELLO], stream: true })) text += delta
    })
    assert.match(text, /^half /)
    return { requests: 1, detail: error.constructor.name }
  },
})
