import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { InferenceEvent, UpstreamFailure } from '../../../inference/event.ts'
import { OpenAiStreamDecoder } from './stream-decoder.ts'

const HEAD = '"id":"up-1","object":"chat.completion.chunk","created":7,"model":"inner"'
const chunk = (choice: string, rest = '') => `data: {${HEAD},"choices":[${choice}]${rest}}\n\n`
const deltaChunk = (delta: string, finish = 'null', index = 0) =>
  chunk(`{"index":${index},"delta":${delta},"logprobs":null,"finish_reason":${finish}}`)
const DONE = 'data: [DONE]\n\n'
const ROLE = deltaChunk('{"role":"assistant","content":""}')
const STOP = deltaChunk('{}', '"stop"')

interface Result {
  readonly events: InferenceEvent[]
  readonly failure: UpstreamFailure | null
}

interface Options {
  readonly passthrough?: boolean
  readonly publicModel?: string
  readonly choices?: number
}

function decode(chunks: readonly Uint8Array[], options: Options): Result {
  const events: InferenceEvent[] = []
  const decoder = new OpenAiStreamDecoder({ passthrough: false, publicModel: 'inner', ...options })
  const emit = (event: InferenceEvent) => events.push(event)
  for (const bytes of chunks) {
    const failure = decoder.push(bytes, emit)
    if (failure !== null) return { events, failure }
  }
  return { failure: decoder.end(emit), events }
}

/** Frames as text, adjacent ones joined, so that results can be compared whatever the cuts were. */
function readable(result: Result) {
  const events: unknown[] = []
  let run: { type: 'frame'; bytes: string; tokens: number; finishes: number } | undefined
  for (const event of result.events) {
    if (event.type !== 'frame') {
      run = undefined
      events.push(event)
      continue
    }
    const text = Buffer.from(event.bytes).toString()
    if (run !== undefined && run.finishes === 0 && event.finishes === 0) {
      run.bytes += text
      run.tokens += event.tokens
    } else {
      run = { type: 'frame', bytes: text, tokens: event.tokens, finishes: event.finishes }
      events.push(run)
    }
  }
  return { events, failure: result.failure?.reason ?? null }
}

/** The same with adjacent texts of a choice joined: texts that come in one piece are told in one event. */
function joined(result: Result) {
  const { events, failure } = readable(result)
  const told: unknown[] = []
  let last: { type: string; choice?: number; content?: string; tokens: number } | undefined
  for (const event of events as NonNullable<typeof last>[]) {
    const isText = event.type === 'delta' && event.content !== undefined && Object.keys(event).length === 4
    if (isText && last !== undefined && last.choice === event.choice) {
      last.content += event.content as string
      last.tokens += event.tokens
      continue
    }
    last = isText ? { ...event } : undefined
    told.push(last ?? event)
  }
  return { events: told, failure }
}

function check(stream: string, options: Options, expected: readonly unknown[], failure: string | null = null): void {
  assert.deepEqual(readable(decode([Buffer.from(stream)], options)), { events: expected, failure })
}

const USAGE_JSON = '{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}'
const USAGE = {
  inputTokens: 5,
  inputSource: 'reported',
  cachedInputTokens: 0,
  cachedInputSource: 'absent',
  cacheWriteTokens: 0,
  cacheWriteSource: 'absent',
  outputTokens: 2,
  outputSource: 'reported',
  reasoningTokens: 0,
  reasoningSource: 'absent',
}
const STARTED = { type: 'started', answerId: 'up-1', createdS: 7 }
const frame = (bytes: string, tokens: number, finishes = 0) => ({ type: 'frame', bytes, tokens, finishes })
const PASS = { passthrough: true }

test('passthrough: frames are joined, the finish stands alone, usage becomes an event', () => {
  const words = deltaChunk('{"content":"Hi"}') + deltaChunk('{"content":" there, how do you do today?"}')
  check(ROLE + words + STOP + chunk('', `,"usage":${USAGE_JSON}`) + DONE, PASS, [
    STARTED,
    frame(ROLE + words, 1 + 7),
    frame(STOP, 0, 1),
    { type: 'usage', usage: USAGE },
  ])
})

test('passthrough: usage in the finish frame, and running usage, become events', () => {
  const running = deltaChunk('{"content":"Hi"}').replace(']}', `],"usage":{"prompt_tokens":5,"completion_tokens":1}}`)
  const last = STOP.replace(']}', `],"usage":${USAGE_JSON}}`)
  check(ROLE + running + deltaChunk('{"content":"!"}') + last, PASS, [
    STARTED,
    frame(ROLE, 0),
    { type: 'delta', choice: 0, content: 'Hi', tokens: 1 },
    { type: 'usage', usage: { ...USAGE, outputTokens: 1 } },
    frame(deltaChunk('{"content":"!"}'), 1),
    { type: 'finish', choice: 0, reason: 'stop' },
    { type: 'usage', usage: USAGE },
  ])
})

test('passthrough: the public model is put in place, wherever it differs', () => {
  const stream = ROLE + deltaChunk('{"content":"\\"model\\":\\"inner\\""}') + STOP
  const renamed = (text: string) => text.replaceAll('"model":"inner",', '"model":"a/\\"b\\"",')
  check(stream, { passthrough: true, publicModel: 'a/"b"' }, [
    STARTED,
    frame(renamed(ROLE + deltaChunk('{"content":"\\"model\\":\\"inner\\""}')), 1),
    frame(renamed(STOP), 0, 1),
  ])
})

test('passthrough: reasoning gets its second name', () => {
  const pass = (delta: string, expected: string) =>
    check(ROLE + deltaChunk(delta) + STOP, PASS, [STARTED, frame(ROLE + deltaChunk(expected), 1), frame(STOP, 0, 1)])
  pass('{"reasoning":"a\\"b"}', '{"reasoning":"a\\"b","reasoning_content":"a\\"b"}')
  pass('{"reasoning_content":"ab"}', '{"reasoning_content":"ab","reasoning":"ab"}')
  pass('{"reasoning_content":null,"reasoning":"ab"}', '{"reasoning_content":"ab","reasoning":"ab"}')
  pass(
    '{"reasoning":"ab","content":null,"reasoning_content":null}',
    '{"reasoning":"ab","content":null,"reasoning_content":"ab"}',
  )
  pass('{"reasoning":"ab","reasoning_content":"ab"}', '{"reasoning":"ab","reasoning_content":"ab"}')
})

test('passthrough: a finish that clients would misread is put right', () => {
  const call = deltaChunk(
    '{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}',
  )
  check(ROLE + call + STOP, PASS, [
    STARTED,
    frame(ROLE + call, 1),
    { type: 'finish', choice: 0, reason: 'tool_calls', native: 'stop' },
  ])
  check(ROLE + deltaChunk('{"content":"x"}', '"eos"'), PASS, [
    STARTED,
    frame(ROLE, 0),
    { type: 'delta', choice: 0, content: 'x', tokens: 1 },
    { type: 'finish', choice: 0, reason: 'stop', native: 'eos' },
  ])
})

test('passthrough: without an id of its own an answer is decoded', () => {
  const bare = 'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
  check(bare, PASS, [
    { type: 'started' },
    { type: 'delta', choice: 0, content: 'x', tokens: 1 },
    { type: 'finish', choice: 0, reason: 'stop' },
  ])
})

test('escapes count as the text they stand for', () => {
  const escaped = deltaChunk('{"content":"\\u4f60\\u597d\\u4f60\\u597d\\u4f60"}')
  const twoTokensOrMore = deltaChunk('{"content":"\\u4f60\\u597d\\u4f60\\u597d\\u4f60\\ud83d\\ude42"}')
  check(ROLE + escaped + STOP, PASS, [STARTED, frame(ROLE + escaped, 1), frame(STOP, 0, 1)])
  check(ROLE + twoTokensOrMore + STOP, PASS, [STARTED, frame(ROLE + twoTokensOrMore, 5), frame(STOP, 0, 1)])
})

test('decoded: thoughts have log probabilities of their own, and an aggregator tells the word of whoever is behind it', () => {
  const logprobs = '{"content":null,"reasoning_content":[{"token":"r","logprob":-1,"bytes":null}]}'
  const stop = STOP.replace('"finish_reason"', '"native_finish_reason":"eos_token","finish_reason"')
  check(ROLE + deltaChunk('{"reasoning":"r"}').replace('"logprobs":null', `"logprobs":${logprobs}`) + stop + DONE, {}, [
    { type: 'started' },
    {
      ...{ type: 'delta', choice: 0, reasoning: 'r', tokens: 1 },
      reasoningLogprobs: [{ token: 'r', bytes: [114], logprob: -1, top: [] }],
    },
    { type: 'finish', choice: 0, reason: 'stop', native: 'eos_token' },
  ])
})

test('decoded: every field of a delta', () => {
  const logprobs =
    '{"content":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[]},{"token":"b","logprob":-2,"bytes":null}]}'
  const tool = (rest: string) => `{"tool_calls":[{"index":0,${rest}}]}`
  check(
    ROLE +
      deltaChunk('{"reasoning":"r","content":null}') +
      deltaChunk('{"content":"ab","annotations":[1]}').replace('"logprobs":null', `"logprobs":${logprobs}`) +
      deltaChunk(tool('"id":"c","type":"function","function":{"name":"f","arguments":""}')) +
      deltaChunk(tool('"function":{"arguments":"{}"}')) +
      STOP +
      DONE +
      'data: garbage after the end\n\n',
    {},
    [
      { type: 'started' },
      { type: 'delta', choice: 0, reasoning: 'r', tokens: 1 },
      {
        type: 'delta',
        choice: 0,
        content: 'ab',
        logprobs: [
          { token: 'a', bytes: [97], logprob: -1, top: [] },
          { token: 'b', bytes: [98], logprob: -2, top: [] },
        ],
        tokens: 2,
        extra: { annotations: [1] },
      },
      { type: 'delta', choice: 0, toolCalls: [{ index: 0, id: 'c', name: 'f', arguments: '' }], tokens: 1 },
      { type: 'delta', choice: 0, toolCalls: [{ index: 0, arguments: '{}' }], tokens: 1 },
      { type: 'finish', choice: 0, reason: 'tool_calls', native: 'stop' },
    ],
  )
})

test('decoded: text completions with their log probabilities', () => {
  const logprobs = '{"tokens":["é","x"],"token_logprobs":[null,-1],"top_logprobs":[null,{"x":-1}],"text_offset":[0,1]}'
  const { events } = decode(
    [Buffer.from(chunk(`{"index":0,"text":"éx","logprobs":${logprobs},"finish_reason":"length"}`))],
    {},
  )
  assert.deepEqual(events.slice(1), [
    {
      type: 'delta',
      choice: 0,
      content: 'éx',
      logprobs: [
        { token: 'é', bytes: [195, 169], logprob: Number.NaN, top: [] },
        { token: 'x', bytes: [120], logprob: -1, top: [{ token: 'x', bytes: [120], logprob: -1 }] },
      ],
      tokens: 2,
    },
    { type: 'finish', choice: 0, reason: 'length' },
  ])
})

test('running usage tells exactly how many tokens a delta adds, and speaks of one choice where there are several', () => {
  const running = (tokens: number, index = 0) =>
    deltaChunk('{"content":"x"}', 'null', index).replace(
      ']}',
      `],"usage":{"prompt_tokens":5,"completion_tokens":${tokens}}}`,
    )
  const tokensOf = (result: Result) => result.events.flatMap(event => (event.type === 'delta' ? [event.tokens] : []))
  const outputsOf = (result: Result) =>
    result.events.flatMap(event => (event.type === 'usage' ? [event.usage.outputTokens] : []))
  const one = decode([Buffer.from(running(3) + running(4) + running(4) + STOP)], { choices: 1 })
  assert.deepEqual(
    [tokensOf(one), outputsOf(one)],
    [
      [3, 1, 0],
      [3, 4, 4],
    ],
  )
  const finishes = STOP + deltaChunk('{}', '"stop"', 1)
  const two = decode([Buffer.from(running(3) + running(4, 1) + finishes)], { choices: 2 })
  assert.deepEqual([tokensOf(two), outputsOf(two)], [[1, 1], [4]])
  const total = chunk('', ',"usage":{"prompt_tokens":5,"completion_tokens":7}')
  assert.deepEqual(outputsOf(decode([Buffer.from(running(3) + running(4, 1) + finishes + total)], { choices: 2 })), [7])
})

test('failures', () => {
  for (const passthrough of [true, false]) {
    const reason = (stream: string, choices?: number) =>
      decode([Buffer.from(stream)], { passthrough, choices }).failure?.reason ?? null
    const text = deltaChunk('{"content":"x"}')
    assert.equal(reason(''), 'disconnected')
    assert.equal(reason(ROLE + text), 'disconnected')
    assert.equal(reason(ROLE + text + DONE), 'disconnected')
    assert.equal(reason(ROLE + text + STOP, 2), 'disconnected')
    assert.equal(reason(ROLE + text + STOP, 1), null)
    assert.equal(reason(`${ROLE}data: {"error":{"message":"x","code":429}}\n\n`), 'overloaded')
    assert.equal(reason('data: {"error":{"message":"x","type":"BadRequestError","code":400}}\n\n'), 'bad_request')
    assert.equal(reason(`${ROLE}event: error\ndata: {"message":"x"}\n\n`), 'internal')
    assert.equal(reason(ROLE + deltaChunk('{}', '"abort"')), 'internal')
    assert.equal(reason(ROLE + deltaChunk('{}', '"insufficient_system_resource"')), 'overloaded')
    assert.equal(
      reason(ROLE + deltaChunk('{}', '"error"').replace('"choices"', '"error":{"code":502},"choices"')),
      'internal',
    )
    assert.equal(reason('data: <html>\n\n'), 'protocol')
    assert.equal(reason(ROLE + deltaChunk('{"content":"x"}', '"stop"', 4), 1), 'protocol')
    assert.equal(reason(`data: ${'x'.repeat((4 << 20) + 1)}`), 'protocol')
  }
})

test('any cuts give the same events', () => {
  const pieces = [
    ...[ROLE, STOP, DONE, ': ping\n\n', chunk('', `,"usage":${USAGE_JSON}`), deltaChunk('{"content":"é\\n\\u4f60🙂"}')],
    ...[deltaChunk('{"reasoning":"hm"}'), deltaChunk('{"tool_calls":[{"index":0,"function":{"arguments":"{"}}]}')],
    ...[deltaChunk('{"content":"a"}').replaceAll('\n', '\r\n'), 'data: {"error":{"message":"x"}}\n\n'],
  ]
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom(...pieces), { maxLength: 8 }),
      fc.array(fc.nat(2000), { maxLength: 6 }),
      fc.boolean(),
      fc.constantFrom('inner', 'outer'),
      (stream, cuts, passthrough, publicModel) => {
        const bytes = Buffer.from(ROLE + stream.join(''))
        const edges = [0, ...cuts.filter(cut => cut < bytes.length), bytes.length].sort((a, b) => a - b)
        const chunks = edges.slice(1).map((edge, i) => bytes.subarray(edges[i], edge))
        const options = { passthrough, publicModel }
        assert.deepEqual(joined(decode(chunks, options)), joined(decode([bytes], options)))
      },
    ),
  )
})
