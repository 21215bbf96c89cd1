import assert from 'node:assert/strict'
import { ChatDeepInfra } from '@langchain/community/chat_models/deepinfra'
import { DeepInfraEmbeddings } from '@langchain/community/embeddings/deepinfra'
import { DeepInfraLLM } from '@langchain/community/llms/deepinfra'
import { HumanMessage, ToolMessage } from '@langchain/core/messages'
import { refusal, run, script, world } from '../lib/checks.mjs'
import { TOOL } from '../lib/openai-shapes.mjs'

/** LangChain's community integration of DeepInfra. It never streams, and never looks at an answer's status. */

const { models, key } = world
const chat = (model, apiKey = key) => new ChatDeepInfra({ model, apiKey, maxTokens: 100, maxRetries: 0 })
const usageOf = ({ usage_metadata: usage }) => ({ input: usage.input_tokens, output: usage.output_tokens })

await run({
  async chat() {
    const message = await chat(models.talker).invoke('Hello')
    assert.equal(message.content, script.text)
    return { usage: usageOf(message), requests: 1 }
  },

  async tools() {
    const bound = chat(models.caller).bindTools([{ type: 'function', function: TOOL }])
    const first = await bound.invoke('Hello')
    const [call] = first.tool_calls
    assert.deepEqual([call?.name, call?.args], [TOOL.name, { city: 'hello' }])
    const result = new ToolMessage({ tool_call_id: call.id, content: 'hello: sunny' })
    const second = await bound.invoke([new HumanMessage('Hello'), first, result])
    assert.equal(second.content, `${script.resultPrefix}hello: sunny`)
    const [a, b] = [usageOf(first), usageOf(second)]
    return { usage: { input: a.input + b.input, output: a.output + b.output }, requests: 2 }
  },

  async completions() {
    const answer = await new DeepInfraLLM({ model: models.plain, apiKey: key, maxTokens: 8 })._call('Once', {})
    // It hands the whole body over, and its own base class then takes it for a text.
    assert.equal(answer.object, 'text_completion')
    return { requests: 1 }
  },

  async embeddings() {
    const vectors = await new DeepInfraEmbeddings({ modelName: models.embedder, apiToken: key }).embedDocuments([
      'one',
      'three',
    ])
    assert.equal(vectors[1].length, script.dimensions)
    return { requests: 1 }
  },

  async 402() {
    const error = await refusal(() => chat(models.talker, world.brokeKey).invoke('Hello'))
    return { requests: 1, statuses: [402], detail: error.constructor.name }
  },
})
