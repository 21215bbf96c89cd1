import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { InferenceRequest, JsonObject } from '../../src/inference/request.ts'
import { ANTHROPIC_MESSAGES } from '../../src/protocols/anthropic-messages/codec.ts'
import { OPENAI_CHAT } from '../../src/protocols/openai-chat/codec.ts'
import { createOpenAiResponses, OPENAI_RESPONSES } from '../../src/protocols/openai-responses/codec.ts'
import { createReasoningSeal } from '../../src/protocols/openai-responses/reasoning-seal.ts'
import type { ProtocolCodec } from '../../src/protocols/protocol.ts'
import { packReasoning } from '../../src/translation/reasoning-details.ts'
import { isObject } from '../../src/wire/json-object.ts'
import type { Form } from './round-trip/canonical.ts'
import { translate } from './round-trip/chain.ts'
import { sessions } from './round-trip/sessions.ts'

/** The conversations as the codecs of the three APIs read them: what runs is the translation, and what it lost is told. */

const CODECS: Readonly<Record<Form, ProtocolCodec>> = {
  chat: OPENAI_CHAT,
  responses: OPENAI_RESPONSES,
  messages: ANTHROPIC_MESSAGES,
}

async function decoded(codec: ProtocolCodec, request: JsonObject): Promise<InferenceRequest> {
  const surface = codec === ANTHROPIC_MESSAGES ? 'anthropic' : 'openai'
  return codec.decode(Buffer.from(JSON.stringify(request)), { requestId: 'req_1', surface, headers: {} })
}

/** What every upstream is asked for: `store` is the server's own matter. */
function asked({ store: _, ...body }: JsonObject): JsonObject {
  return JSON.parse(JSON.stringify(body))
}

for (const [name, { from, request }] of sessions)
  test(`${name} is read as it is translated`, async () => {
    const { body, dropped } = await decoded(CODECS[from], request)
    const expected = from === 'chat' ? { body: request, dropped: [] } : translate(from, 'chat', request)
    assert.deepEqual(asked(body), asked(expected.body))
    assert.deepEqual(dropped ?? [], expected.dropped)
  })

test('reasoning that this server sealed is read again, and its seal goes no further', async () => {
  const seal = createReasoningSeal(Buffer.alloc(32, 1))
  const codec = createOpenAiResponses({ keepMs: 0, seal })
  let sealed = 0
  for (const [, { from, request }] of sessions) {
    if (from !== 'responses') continue
    const thoughts: unknown[] = []
    const input = (request.input as readonly JsonObject[]).map(item => {
      if (item.type !== 'reasoning' || item.encrypted_content === undefined) return item
      const text = `Thought ${++sealed}.`
      thoughts.push(text)
      return { ...item, encrypted_content: seal.seal(packReasoning({ text, details: [] })) }
    })
    const { body } = await decoded(codec, { ...request, input })
    assert.ok(!JSON.stringify(body).includes('hr1.'))
    const said = (body.messages as readonly JsonObject[]).map(message => String(message.reasoning_content ?? '')).join()
    for (const thought of thoughts) assert.ok(said.includes(String(thought)), `${thought} in ${said}`)
    // Calls and results stand as they were sent.
    const ids = (list: unknown) => (Array.isArray(list) ? list.filter(isObject) : [])
    assert.deepEqual(
      ids(body.messages).flatMap(({ tool_call_id: id }) => (id === undefined ? [] : [id])),
      ids(input).flatMap(({ type, call_id: id }) => (String(type).endsWith('_output') ? [id] : [])),
    )
  }
  assert.ok(sealed > 3)
})
