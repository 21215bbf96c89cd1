import assert from 'node:assert/strict'
import OpenAI from 'openai'
import { zodTextFormat } from 'openai/helpers/zod'
import { z } from 'zod'
import { refusal, refusals, run, script, world } from '../lib/checks.mjs'
import { TOOL } from '../lib/openai-shapes.mjs'

/** The official OpenAI package with the Responses API, whose stream helper is the strictest reader there is. */

const { models } = world
const clientWith = (apiKey = world.key) => new OpenAI({ apiKey, baseURL: `${world.url}/v1` })
const client = clientWith()

/** @returns {import('../lib/checks.mjs').Usage} */
function usageOf(usage) {
  return {
    input: usage.input_tokens,
    cached: usage.input_tokens_details.cached_tokens,
    output: usage.output_tokens,
    reasoning: usage.output_tokens_details.reasoning_tokens,
  }
}

const WEATHER = { type: 'function', strict: true, ...TOOL }

await run({
  async chat() {
    const answer = await client.responses.create({
      model: models.plain,
      input: 'Hello',
      max_output_tokens: 16,
      store: false,
    })
    assert.equal(answer.object, 'response')
    assert.match(answer.status, /^(completed|incomplete)$/)
    return { usage: usageOf(answer.usage), requestId: answer._request_id }
  },

  async stream() {
    const stream = client.responses.stream({ model: models.plain, input: 'Hello', max_output_tokens: 16 })
    const types = new Set()
    for await (const event of stream) types.add(event.type)
    const answer = await stream.finalResponse()
    assert.ok(types.has('response.created') && types.has('response.output_item.done'))
    return { usage: usageOf(answer.usage) }
  },

  async reasoning() {
    const stream = client.responses.stream({ model: models.talker, input: 'Hello' })
    const answer = await stream.finalResponse()
    assert.equal(answer.output_text, script.text)
    const item = answer.output.find(({ type }) => type === 'reasoning')
    const told = [...(item?.content ?? []), ...(item?.summary ?? [])].map(({ text }) => text)
    assert.ok(told.includes(script.reasoning), JSON.stringify(item))
    return { usage: usageOf(answer.usage) }
  },

  async tools() {
    const first = await client.responses
      .stream({ model: models.caller, input: 'Hello', tools: [WEATHER] })
      .finalResponse()
    const call = first.output.find(({ type }) => type === 'function_call')
    assert.equal(call?.name, TOOL.name)
    assert.deepEqual(JSON.parse(call.arguments), { city: 'hello' })
    const output = { type: 'function_call_output', call_id: call.call_id, output: 'hello: sunny' }
    const input = [{ role: 'user', content: 'Hello' }, ...first.output, output]
    const second = await client.responses.create({ model: models.caller, input, tools: [WEATHER] })
    assert.equal(second.output_text, `${script.resultPrefix}hello: sunny`)
    const [a, b] = [usageOf(first.usage), usageOf(second.usage)]
    return { usage: Object.fromEntries(Object.keys(a).map(name => [name, a[name] + b[name]])), requests: 2 }
  },

  async 'second turn'() {
    const first = await client.responses.create({ model: models.talker, input: 'Hello' })
    const second = await client.responses.create({
      model: models.talker,
      input: 'Again',
      previous_response_id: first.id,
    })
    assert.ok(second.usage.input_tokens > first.usage.input_tokens)
    assert.equal((await client.responses.retrieve(first.id)).output_text, script.text)
    await client.responses.delete(first.id)
    assert.ok((await refusal(() => client.responses.retrieve(first.id))) instanceof OpenAI.NotFoundError)
  },

  async structured() {
    const City = z.object({ city: z.string(), size: z.int().min(1) })
    const answer = await client.responses.parse({
      model: models.talker,
      input: 'Hello',
      text: { format: zodTextFormat(City, 'city') },
    })
    assert.deepEqual(answer.output_parsed, { city: 'hello', size: 1 })
    return { usage: usageOf(answer.usage), requestId: answer._request_id }
  },

  ...refusals({
    repeats: 2,
    ask: ({ key, model = models.talker, text = 'Hello' }) => clientWith(key).responses.create({ model, input: text }),
    isError(error, status) {
      assert.ok(error instanceof OpenAI.APIError, String(error))
      assert.equal(error.status, status)
      assert.ok(error.requestID)
      if (status === 404) assert.equal(error.code, 'model_not_found')
    },
  }),

  async cut() {
    let text = ''
    let last
    const error = await refusal(async () => {
      const stream = await client.responses.create({ model: models.dies, input: 'Hello', stream: true })
      for await (const event of stream) {
        last = event
        if (event.type === 'response.output_text.delta') text += event.delta
      }
      // The reader without helper hands the failure over as an event.
      if (/^(error|response\.failed)$/.test(last.type)) throw new Error(last.type)
    })
    assert.match(text, /^half /)
    return { requests: 1, detail: error.constructor.name }
  },

  async cancel() {
    const stream = await client.responses.create({ model: models.endless, input: 'Hello', stream: true })
    let events = 0
    for await (const _ of stream) if (++events > 8) break
    assert.ok(events > 8)
    return { requests: 1, cancelled: true }
  },
})
