import assert from 'node:assert/strict'
import Anthropic from '@anthropic-ai/sdk'
import { refusal, refusals, run, script, world } from '../lib/checks.mjs'
import { HELLO, SWITCH, TOOL } from '../lib/openai-shapes.mjs'

/** The official Anthropic package. */

const { models } = world
const clientWith = (apiKey = world.key) => new Anthropic({ apiKey, baseURL: world.url })
const client = clientWith()

const CLASSES = {
  401: Anthropic.AuthenticationError,
  402: Anthropic.APIError,
  404: Anthropic.NotFoundError,
  413: Anthropic.APIError,
  429: Anthropic.RateLimitError,
  503: Anthropic.InternalServerError,
}

/** @returns {import('../lib/checks.mjs').Usage} */
function usageOf(usage) {
  const cached = usage.cache_read_input_tokens ?? 0
  return {
    input: usage.input_tokens + cached + (usage.cache_creation_input_tokens ?? 0),
    cached,
    output: usage.output_tokens,
    reasoning: usage.output_tokens_details?.thinking_tokens,
  }
}

const textOf = message => message.content.flatMap(block => (block.type === 'text' ? block.text : [])).join('')
const WEATHER = { name: TOOL.name, description: TOOL.description, input_schema: TOOL.parameters }

await run({
  async chat() {
    const message = await client.messages.create({ model: models.plain, max_tokens: 12, messages: HELLO })
    assert.deepEqual([message.type, message.role, message.model], ['message', 'assistant', models.plain])
    return { usage: usageOf(message.usage), requestId: message._request_id }
  },

  async stream() {
    const stream = client.messages.stream({ model: models.plain, max_tokens: 12, messages: HELLO })
    const message = await stream.finalMessage()
    assert.ok(message.content.length > 0)
    assert.match(message.stop_reason, /^(end_turn|max_tokens)$/)
    return { usage: usageOf(message.usage), requestId: stream.request_id }
  },

  async reasoning() {
    const message = await client.messages
      .stream({ model: models.talker, max_tokens: 100, messages: HELLO })
      .finalMessage()
    assert.equal(message.content[0].thinking, script.reasoning)
    assert.equal(textOf(message), script.text)
    return { usage: usageOf(message.usage) }
  },

  async tools() {
    const runner = client.beta.messages.toolRunner({
      model: models.caller,
      max_tokens: 100,
      messages: HELLO,
      stream: true,
      tools: [{ ...WEATHER, run: async ({ city }) => `${city}: sunny`, parse: value => value }],
    })
    const sum = { input: 0, cached: 0, output: 0 }
    let last
    for await (const stream of runner) {
      last = await stream.finalMessage()
      const usage = usageOf(last.usage)
      for (const count of Object.keys(sum)) sum[count] += usage[count]
    }
    assert.equal(textOf(last), `${script.resultPrefix}hello: sunny`)
    return { usage: sum, requests: 2 }
  },

  async 'tool required'() {
    const message = await client.messages.create({
      model: models.plain,
      max_tokens: 400,
      messages: HELLO,
      tools: [{ name: SWITCH.name, description: SWITCH.description, input_schema: SWITCH.parameters }],
      tool_choice: { type: 'any', disable_parallel_tool_use: true },
    })
    const call = message.content.find(({ type }) => type === 'tool_use')
    assert.equal(call?.name, SWITCH.name)
    assert.equal(typeof call.input.on, 'boolean')
    assert.equal(message.stop_reason, 'tool_use')
    return { usage: usageOf(message.usage), requestId: message._request_id }
  },

  async 'count tokens'() {
    const counted = await client.messages.countTokens({ model: models.plain, messages: HELLO })
    assert.ok(counted.input_tokens > 0)
  },

  async models() {
    const ids = []
    for await (const model of client.models.list()) ids.push(model.id)
    assert.ok(ids.includes(models.talker))
    assert.equal((await client.models.retrieve(models.talker)).id, models.talker)
  },

  ...refusals({
    repeats: 2,
    ask: ({ key, model = models.talker, text = 'Hello' }) =>
      clientWith(key).messages.create({ model, max_tokens: 100, messages: [{ role: 'user', content: text }] }),
    isError(error, status) {
      assert.ok(error instanceof CLASSES[status], String(error))
      assert.ok(error.requestID)
      assert.equal(error.error.type, 'error')
      if (status === 404) assert.ok(error.message.includes(models.missing), error.message)
    },
  }),

  async cut() {
    let text = ''
    const error = await refusal(async () => {
      const stream = client.messages.stream({ model: models.dies, max_tokens: 100, messages: HELLO })
      stream.on('text', delta => {
        text += delta
      })
      await stream.finalMessage()
    })
    assert.match(text, /^half /)
    assert.ok(error instanceof Anthropic.APIError, String(error))
    return { requests: 1, detail: error.constructor.name }
  },

  async cancel() {
    const stream = await client.messages.create({
      model: models.endless,
      max_tokens: 9000,
      messages: HELLO,
      stream: true,
    })
    let events = 0
    for await (const _ of stream) if (++events > 8) break
    assert.ok(events > 8)
    return { requests: 1, cancelled: true }
  },
})
