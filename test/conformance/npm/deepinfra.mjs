import assert from 'node:assert/strict'
import { Embeddings, TextGeneration } from 'deepinfra'
import { refusal, run, script, world } from '../lib/checks.mjs'

/** DeepInfra's own package, which speaks its native API. A model's name may be a whole URL. */

const { models, url } = world
/** By itself it repeats everything five times. */
const ONCE = { maxRetries: 0 }
const nativeUrl = model => `${url}/v1/inference/${model}`

await run({
  async native() {
    const answer = await new TextGeneration(nativeUrl(models.talker), world.key, ONCE).generate({ input: 'Hello' })
    assert.equal(answer.results[0].generated_text, script.text)
    assert.equal(answer.inference_status.status, 'succeeded')
    const { tokens_input: input, tokens_generated: output, cost } = answer.inference_status
    return { usage: { input, output, cost }, requests: 1 }
  },

  async embeddings() {
    const answer = await new Embeddings(nativeUrl(models.embedder), world.key, ONCE).generate({
      inputs: ['one', 'three'],
    })
    assert.equal(answer.embeddings[1].length, script.dimensions)
    return { usage: { input: answer.input_tokens, output: 0 }, requests: 1 }
  },

  ...Object.fromEntries(
    [
      [401, world.wrongKey, models.talker],
      [404, world.key, models.missing],
      [429, world.key, models.overloaded],
      [503, world.key, models.down],
    ].map(([status, key, model]) => [
      status,
      async () => {
        await refusal(() => new TextGeneration(nativeUrl(model), key, ONCE).generate({ input: 'Hello' }))
        // Whatever goes wrong, it throws the same error.
        return { requests: 1, statuses: [status] }
      },
    ]),
  ),

  async 402() {
    await refusal(() => new TextGeneration(nativeUrl(models.talker), world.brokeKey).generate({ input: 'Hello' }))
    return { requests: 1 }
  },
})
