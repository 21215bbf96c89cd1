import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ToolDeclaration } from '../../src/inference/request.ts'
import { chat, engineWith, request, run, text, words } from './support.ts'

const llama = await engineWith('llama')

const LIGHT: ToolDeclaration = {
  type: 'function',
  function: {
    name: 'set_light',
    parameters: { type: 'object', properties: { on: { type: 'boolean' } }, required: ['on'] },
  },
}

test('an answer streams: started with exact input, deltas, finish, usage', async () => {
  const answer = await run(llama, { outputTokensMax: 12 })
  assert.equal(answer.end.kind, 'completed')
  const kinds = answer.events.map(event => event.type)
  assert.equal(kinds[0], 'started')
  assert.deepEqual(kinds.slice(-2), ['finish', 'usage'])
  assert.ok(kinds.slice(1, -2).every(kind => kind === 'delta'))
  assert.equal(answer.reasons[0], 'length')
  assert.equal(answer.deltaTokens, 12)
  assert.equal(answer.usage?.outputTokens, 12)
  const counted = await llama.countInput(request({}), 'm')
  assert.equal(answer.usage?.inputTokens, counted)
  assert.deepEqual(answer.events[0], { type: 'started', inputTokens: counted })
})

test('temperature 0 and equal seeds repeat themselves; other seeds do not', async () => {
  const ask = { input: text(words(20)), outputTokensMax: 24 }
  const [a, b] = [await run(llama, ask), await run(llama, ask)]
  assert.equal(a.texts[0], b.texts[0])
  const seeded = (seed: number) => run(llama, { ...ask, sampling: { temperature: 1, seed } })
  const [c, d, e] = [await seeded(5), await seeded(5), await seeded(6)]
  assert.equal(c.texts[0], d.texts[0])
  assert.notEqual(c.texts[0], e.texts[0])
})

test('choices and prompts have their own numbers; input is counted once per prompt', async () => {
  const prompts = [words(30), words(12, 1)]
  const answer = await run(llama, {
    input: text(...prompts),
    n: 3,
    sampling: { temperature: 1, seed: 1 },
    outputTokensMax: 5,
  })
  assert.equal(answer.texts.length, 6)
  assert.equal(answer.reasons.length, 6)
  assert.equal(new Set(answer.texts).size, 6)
  assert.equal(answer.usage?.outputTokens, 30)
  assert.equal(answer.usage?.inputTokens, await llama.countInput(request({ input: text(...prompts) }), 'm'))
})

test('an answer ends before a stop sequence, whose start is never sent', async () => {
  const whole = await run(llama, { outputTokensMax: 24 })
  const said = whole.texts[0] as string
  // From the middle of one word into the next, so that it spans tokens.
  const at = said.indexOf(' ', 30) - 2
  const stop = said.slice(at, at + 5)
  const expected = said.slice(0, said.indexOf(stop))
  const answer = await run(llama, { outputTokensMax: 24, sampling: { stop: ['never said', stop] } })
  assert.equal(answer.texts[0], expected)
  assert.equal(answer.reasons[0], 'stop')
  assert.equal(answer.usage?.outputTokens, answer.deltaTokens)
  assert.ok(answer.deltaTokens < 24)
})

test('a cancel ends at once with the usage so far', async () => {
  let deltas = 0
  const answer = await run(llama, {
    outputTokensMax: 1500,
    sampling: { ignoreEos: true },
    watch(event, handle) {
      if (event.type === 'delta' && ++deltas === 3) handle.cancel()
    },
  })
  assert.equal(answer.end.kind, 'cancelled')
  assert.equal(answer.events.at(-1)?.type, 'usage')
  assert.ok((answer.usage?.outputTokens ?? 0) >= 3 && (answer.usage?.outputTokens ?? 0) < 1500)
  assert.ok((answer.usage?.inputTokens ?? 0) > 0)
  assert.equal(llama.load().running, 0)
  assert.equal((await run(llama)).usage?.outputTokens, 16, 'a slot that was cancelled counts from zero again')
})

test('a cancel before anything began tells no usage', async () => {
  const running = run(llama)
  running.handle.cancel()
  const answer = await running
  assert.equal(answer.end.kind, 'cancelled')
  assert.equal(answer.usage, undefined)
})

test('a prompt that does not fit is refused with both numbers', async () => {
  const { end, events } = await run(llama, { input: text(words(2500)) })
  assert.equal(events.length, 0)
  assert.equal(end.kind === 'failed' && end.failure.reason, 'context_length')
  assert.match(end.kind === 'failed' ? end.failure.message : '', /has 25\d\d tokens .* 2048 tokens/)
})

test('an answer that fills the context ends with length', async () => {
  const answer = await run(llama, {
    input: text(words(2030)),
    outputTokensMax: 500,
    sampling: { ignoreEos: true },
  })
  assert.equal(answer.reasons[0], 'length')
  const { inputTokens, outputTokens } = answer.usage as { inputTokens: number; outputTokens: number }
  assert.ok(outputTokens >= 1 && inputTokens + outputTokens <= 2049, `${inputTokens} + ${outputTokens}`)
})

test('ignore_eos goes on to the limit', async () => {
  const answer = await run(llama, { outputTokensMax: 300, sampling: { ignoreEos: true, temperature: 1, seed: 2 } })
  assert.equal(answer.reasons[0], 'length')
  assert.equal(answer.usage?.outputTokens, 300)
})

test('log probabilities are those of the distribution drawn from', async () => {
  const answer = await run(llama, { outputTokensMax: 6, sampling: { temperature: 1, seed: 3, topLogprobs: 2 } })
  const logprobs = answer.events.flatMap(event => (event.type === 'delta' ? (event.logprobs ?? []) : []))
  assert.equal(logprobs.length, 6)
  assert.equal(logprobs.map(one => one.token).join(''), answer.texts[0])
  for (const one of logprobs) {
    assert.ok(one.logprob <= 0)
    assert.equal(one.top.length, 2)
    assert.ok((one.top[0]?.logprob ?? 0) >= (one.top[1]?.logprob ?? 0))
    assert.ok((one.top[0]?.logprob ?? 0) >= one.logprob)
    assert.deepEqual(one.bytes, [...Buffer.from(one.token)])
  }
})

test('a JSON schema binds the answer', async () => {
  const schema = {
    type: 'object',
    properties: { ok: { type: 'boolean' }, word: { enum: ['red', 'blue'] } },
    required: ['ok', 'word'],
  }
  const answer = await run(llama, {
    input: chat('Answer.', { responseFormat: { type: 'json_schema', json_schema: { schema } } }),
    outputTokensMax: 200,
  })
  const value = JSON.parse(answer.texts[0] as string)
  assert.equal(typeof value.ok, 'boolean')
  assert.ok(['red', 'blue'].includes(value.word))
  assert.equal(answer.reasons[0], 'stop')
})

test('a demanded tool call is made, with arguments that fit', async () => {
  const dim: ToolDeclaration = { type: 'function', function: { name: 'dim' } }
  for (const toolChoice of ['required', { type: 'function', function: { name: 'set_light' } }] as const) {
    const tools = toolChoice === 'required' ? [LIGHT] : [dim, LIGHT]
    const answer = await run(llama, {
      input: chat('Light!', { tools, toolChoice, parallelToolCalls: false }),
      outputTokensMax: 300,
    })
    const calls = answer.events.flatMap(event => (event.type === 'delta' ? (event.toolCalls ?? []) : []))
    assert.equal(calls.length, 1)
    assert.match(calls[0]?.id ?? '', /^call_[0-9a-f]{24}$/)
    assert.equal(calls[0]?.name, 'set_light')
    assert.equal(typeof JSON.parse(calls[0]?.arguments ?? '').on, 'boolean')
    assert.equal(answer.reasons[0], 'tool_calls')
  }
})

test('schemas that make no usable grammar are refused, and the engine lives on', async () => {
  const pid = llama.status().models[0]?.pid
  for (const schema of [
    { type: 'string', pattern: '^a{1,99999}$' },
    { type: 'integer', minimum: 3, maximum: 1 },
    { type: 'nonsense' },
  ]) {
    const { end } = await run(llama, {
      input: chat('x', { responseFormat: { type: 'json_schema', json_schema: { schema } } }),
    })
    assert.equal(end.kind === 'failed' && end.failure.reason, 'bad_request', JSON.stringify(schema))
  }
  assert.equal(llama.status().models[0]?.pid, pid)
})

test('what the engine cannot do is refused, not ignored', async () => {
  const refused: [string, Parameters<typeof run>[1], RegExp][] = [
    ['logit_bias', { sampling: { logitBias: { '5': 1 } } }, /logit_bias/],
    ['suffix', { input: { kind: 'text', prompts: ['a'], echo: false, suffix: 'b' } }, /suffix/],
    [
      'an image',
      { input: chat('', { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] }) },
      /"image_url"/,
    ],
    [
      'a tool that is not there',
      { input: chat('', { tools: [LIGHT], toolChoice: { type: 'function', function: { name: 'no' } } }) },
      /"no"/,
    ],
  ]
  for (const [what, ask, message] of refused) {
    const { end } = await run(llama, ask)
    assert.equal(end.kind === 'failed' && end.failure.reason, 'bad_request', what)
    assert.match(end.kind === 'failed' ? end.failure.message : '', message)
  }
})

test('echo sends the prompt first; a limit of no tokens sends nothing else', async () => {
  const answer = await run(llama, { input: { kind: 'text', prompts: ['water time'], echo: true }, outputTokensMax: 0 })
  assert.equal(answer.texts[0], 'water time')
  assert.equal(answer.usage?.outputTokens, 0)
  assert.equal(answer.reasons[0], 'length')
  assert.equal(answer.end.kind, 'completed')
})

test('a prompt of token ids is run as it is', async () => {
  const ids = [12, 40, 41, 42, 43]
  const answer = await run(llama, { input: text(ids) })
  // Either the tokenizer makes the same ids of their text, or the request is refused: never another prompt.
  if (answer.end.kind === 'completed') assert.equal(answer.usage?.inputTokens, ids.length)
  else assert.equal(answer.end.kind === 'failed' && answer.end.failure.reason, 'bad_request')
})

test('a developer message is a system message', async () => {
  const count = (role: 'developer' | 'system') =>
    llama.countInput(
      request({
        input: chat('', {
          messages: [
            { role, content: words(9) },
            { role: 'user', content: 'x' },
          ],
        }),
      }),
      'm',
    )
  assert.equal(await count('developer'), await count('system'))
})

const deepseek4 = await engineWith('deepseek4')

test('thinking arrives as reasoning and is counted; without it the answer is content', async () => {
  const thinking = await run(deepseek4, { outputTokensMax: 12 })
  const reasoning = thinking.events.map(event => (event.type === 'delta' ? (event.reasoning ?? '') : '')).join('')
  assert.ok(reasoning.length > 0)
  assert.equal(thinking.texts[0] ?? '', '')
  assert.equal(thinking.usage?.reasoningTokens, thinking.usage?.outputTokens)
  const plain = await run(deepseek4, {
    input: chat('Say something.', { reasoningEffort: 'none' }),
    outputTokensMax: 12,
  })
  assert.ok((plain.texts[0] ?? '').length > 0)
  assert.equal(plain.usage?.reasoningTokens, 0)
})

test('a model that wants a first token gets exactly one', async () => {
  const count = (prompt: string) => deepseek4.countInput(request({ input: text(prompt) }), 'm')
  const bare = await count(' time')
  assert.equal(await count('<｜begin▁of▁sentence｜> time'), bare)
  assert.equal(await count(' time time'), bare + 1)
})

test('tools that the model may use leave other answers as they are', async () => {
  for (const engine of [llama, deepseek4]) {
    const ask = { input: chat('Say something.', { tools: [LIGHT], reasoningEffort: 'none' }), outputTokensMax: 30 }
    const answer = await run(engine, ask)
    assert.equal(answer.end.kind, 'completed')
    assert.equal(answer.usage?.outputTokens, answer.deltaTokens)
    const calls = answer.events.flatMap(event => (event.type === 'delta' ? (event.toolCalls ?? []) : []))
    assert.equal(answer.reasons[0] === 'tool_calls', calls.length > 0)
  }
})

test('calls that the model chooses to make arrive whole, in the form of its template', async () => {
  for (const [engine, seed] of [
    [llama, 5],
    [deepseek4, 2],
  ] as const) {
    const answer = await run(engine, {
      input: chat('Light!', { tools: [LIGHT], reasoningEffort: 'none' }),
      outputTokensMax: 200,
      sampling: { temperature: 1, seed },
    })
    const calls = answer.events.flatMap(event => (event.type === 'delta' ? (event.toolCalls ?? []) : []))
    assert.ok(calls.length > 0)
    assert.equal(calls[0]?.name, 'set_light')
    assert.equal(typeof JSON.parse(calls[0]?.arguments ?? '').on, 'boolean')
    assert.deepEqual(
      calls.map(call => call.index),
      calls.map((_, index) => index),
    )
  }
})

test('an answer that was begun goes on where it ends, and is not repeated', async () => {
  const asked = words(12, 3)
  const messages = [
    { role: 'user', content: asked },
    { role: 'assistant', content: words(6), prefix: true },
  ] as const
  const input = chat(asked, { messages, continuesLast: true })
  const answers = [await run(llama, { input, outputTokensMax: 8 }), await run(llama, { input, outputTokensMax: 8 })]
  assert.deepEqual(
    answers.map(answer => answer.end.kind),
    ['completed', 'completed'],
  )
  assert.equal(answers[0]?.texts[0], answers[1]?.texts[0])
  const counted = (of: ReturnType<typeof chat>) => llama.countInput(request({ input: of }), 'm')
  const [begun, bare, ended] = await Promise.all([
    counted(input),
    counted(chat(asked)),
    counted(chat(asked, { messages })),
  ])
  assert.equal(answers[0]?.usage?.inputTokens, begun)
  // More than the chat alone, and less than with an end mark and a second header.
  assert.ok(bare < begun && begun < ended, `${bare}, ${begun}, ${ended}`)
  const withTools = chat(asked, { messages, continuesLast: true, tools: [LIGHT] })
  const { end } = await run(llama, { input: withTools, outputTokensMax: 8 })
  assert.equal(end.kind === 'failed' && end.failure.reason, 'bad_request')
})
