import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import OpenAI, { toFile } from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { z } from 'zod'
import { refusal, refusals, run, script, world } from '../lib/checks.mjs'
import { HELLO, TOOL, usageOfChat } from '../lib/openai-shapes.mjs'

/** The official OpenAI package: chat, the older completions, models and embeddings. */

const { models } = world
const clientWith = (apiKey = world.key, options = {}) => new OpenAI({ apiKey, baseURL: `${world.url}/v1`, ...options })
const client = clientWith()

const BATCH_POLL_MS = 250
const BATCH_POLLS_MAX = 200

const CLASSES = {
  401: OpenAI.AuthenticationError,
  402: OpenAI.APIError,
  404: OpenAI.NotFoundError,
  413: OpenAI.APIError,
  429: OpenAI.RateLimitError,
  503: OpenAI.InternalServerError,
}

await run({
  async chat() {
    const answer = await client.chat.completions.create({ model: models.plain, messages: HELLO, max_tokens: 12 })
    assert.equal(answer.choices[0].message.role, 'assistant')
    return { usage: usageOfChat(answer.usage), requestId: answer._request_id }
  },

  async stream() {
    const { data, request_id } = await client.chat.completions
      .create({ model: models.plain, messages: HELLO, max_tokens: 12, stream: true })
      .withResponse()
    let text = ''
    let usage
    let finish
    for await (const chunk of data) {
      const choice = chunk.choices[0]
      text += (choice?.delta.content ?? '') + (choice?.delta.reasoning_content ?? '')
      finish ??= choice?.finish_reason
      usage ??= chunk.usage
    }
    assert.ok(text.length > 0)
    assert.match(finish, /^(stop|length)$/)
    return { usage: usageOfChat(usage), requestId: request_id }
  },

  async reasoning() {
    const answer = await client.chat.completions.create({ model: models.talker, messages: HELLO })
    assert.equal(answer.choices[0].message.content, script.text)
    assert.equal(answer.choices[0].message.reasoning_content, script.reasoning)
    return { usage: usageOfChat(answer.usage), requestId: answer._request_id }
  },

  async tools() {
    const runner = client.chat.completions.runTools({
      model: models.caller,
      messages: HELLO,
      stream: true,
      stream_options: { include_usage: true },
      tools: [{ type: 'function', function: { ...TOOL, parse: JSON.parse, function: ({ city }) => `${city}: sunny` } }],
    })
    assert.equal(await runner.finalContent(), `${script.resultPrefix}hello: sunny`)
    return { usage: usageOfChat(await runner.totalUsage()), requests: 2 }
  },

  async structured() {
    const City = z.object({ city: z.string(), size: z.int().min(1) })
    const stream = client.chat.completions.stream({
      model: models.talker,
      messages: HELLO,
      response_format: zodResponseFormat(City, 'city'),
      stream_options: { include_usage: true },
    })
    const answer = await stream.finalChatCompletion()
    assert.deepEqual(answer.choices[0].message.parsed, { city: 'hello', size: 1 })
    return { usage: usageOfChat(answer.usage) }
  },

  async completions() {
    const answer = await client.completions.create({ model: models.plain, prompt: 'Once', max_tokens: 8 })
    assert.equal(answer.object, 'text_completion')
    return { usage: usageOfChat(answer.usage), requestId: answer._request_id }
  },

  async embeddings() {
    const answer = await client.embeddings.create({ model: models.embedder, input: ['one', 'three'] })
    assert.equal(answer.data.length, 2)
    assert.equal(answer.data[1].embedding.length, script.dimensions)
    assert.equal(typeof answer.data[1].embedding[0], 'number')
    return { usage: { input: answer.usage.prompt_tokens, output: 0 } }
  },

  async models() {
    const ids = []
    for await (const model of client.models.list()) ids.push(model.id)
    assert.ok(ids.includes(models.plain) && ids.includes(models.talker))
    assert.equal((await client.models.retrieve(models.talker)).id, models.talker)
    return { requests: 2 }
  },

  async stored() {
    const made = await client.chat.completions.create({ model: models.talker, messages: HELLO, store: true })
    const kept = await client.chat.completions.retrieve(made.id)
    assert.equal(kept.choices[0].message.content, script.text)
    await client.chat.completions.delete(made.id)
    assert.ok((await refusal(() => client.chat.completions.retrieve(made.id))) instanceof OpenAI.NotFoundError)
  },

  async batches() {
    const lines = ['one', 'two'].map(custom_id => ({
      custom_id,
      method: 'POST',
      url: '/v1/chat/completions',
      body: { model: models.talker, messages: HELLO },
    }))
    const file = await toFile(Buffer.from(lines.map(line => JSON.stringify(line)).join('\n')), 'lines.jsonl')
    const input = await client.files.create({ file, purpose: 'batch' })
    const ask = { input_file_id: input.id, endpoint: '/v1/chat/completions', completion_window: '24h' }
    let batch = await client.batches.create(ask)
    for (let polls = 0; batch.status !== 'completed'; polls++) {
      assert.ok(polls < BATCH_POLLS_MAX && !/failed|expired|cancelled/.test(batch.status), JSON.stringify(batch))
      await sleep(BATCH_POLL_MS)
      batch = await client.batches.retrieve(batch.id)
    }
    assert.deepEqual(batch.request_counts, { total: 2, completed: 2, failed: 0 })
    const output = await (await client.files.content(batch.output_file_id)).text()
    const answers = output
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
    assert.deepEqual(answers.map(answer => answer.custom_id).sort(), ['one', 'two'])
    for (const { response } of answers) assert.equal(response.body.choices[0].message.content, script.text)
  },

  ...refusals({
    repeats: 2,
    ask: ({ key, model = models.talker, text = 'Hello' }) =>
      clientWith(key).chat.completions.create({ model, messages: [{ role: 'user', content: text }] }),
    isError(error, status) {
      assert.equal(error.constructor, CLASSES[status])
      assert.equal(error.status, status)
      assert.ok(error.requestID)
      if (status === 404) assert.equal(error.code, 'model_not_found')
    },
  }),

  async cut() {
    let text = ''
    const error = await refusal(async () => {
      const stream = await client.chat.completions.create({ model: models.dies, messages: HELLO, stream: true })
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
    })
    assert.match(text, /^half /)
    assert.ok(error instanceof OpenAI.APIError, String(error))
    assert.equal(error.code, 'upstream_error')
    return { requests: 1 }
  },

  async cancel() {
    const stream = await client.chat.completions.create({ model: models.endless, messages: HELLO, stream: true })
    let chunks = 0
    for await (const _ of stream) if (++chunks > 5) break
    assert.ok(chunks > 5)
    return { requests: 1, cancelled: true }
  },
})
