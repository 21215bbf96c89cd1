import assert from 'node:assert/strict'
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { isFault, parseLine, resultText, unrunText } from './batch-line.ts'
import { checkInput } from './check-input.ts'
import { plainPath } from './endpoints.ts'
import { indexInput, LINES_MAX } from './input-index.ts'
import { verdictOn } from './line-verdict.ts'
import { Pause } from './pause.ts'
import { Progress } from './progress.ts'
import { readLines } from './read-lines.ts'
import { Slots } from './slots.ts'
import { UsageSum } from './usage-sum.ts'

const CHAT = '/v1/chat/completions'

const folder = await mkdtemp(join(tmpdir(), 'hr-batch-'))
after(() => rm(folder, { recursive: true, force: true }))

async function withFile<Result>(
  content: string | Buffer,
  work: (file: Awaited<ReturnType<typeof open>>) => Promise<Result>,
): Promise<Result> {
  const path = join(folder, 'input')
  await writeFile(path, content)
  const file = await open(path)
  try {
    return await work(file)
  } finally {
    await file.close()
  }
}

async function checkLines(content: string | Buffer, expected: readonly string[], lineBytesMax = 100): Promise<void> {
  await withFile(content, async file => {
    const seen: string[] = []
    for await (const { number, offset, bytes } of readLines(file, lineBytesMax))
      seen.push(`${number}@${offset} ${bytes === null ? 'too long' : JSON.stringify(bytes.toString())}`)
    assert.deepEqual(seen, expected)
  })
}

test('lines are told by number and place, whatever ends them, and empty ones are passed over', async () => {
  await checkLines('a\nbc\r\n\n \t\nd', ['1@0 "a"', '2@2 "bc"', '5@10 "d"'])
  await checkLines('', [])
  await checkLines('\n\n', [])
  await checkLines('ä\nb\n', ['1@0 "ä"', '2@3 "b"'])
  await checkLines('\ufeffa\nb', ['1@3 "a"', '2@5 "b"'])
  await checkLines('12345\n123456\n1', ['1@0 "12345"', '2@6 too long', '3@13 "1"'], 5)
  await checkLines('123456', ['1@0 too long'], 5)
})

test('a line that is longer than what is read at a time is whole, and can be read by itself', () => {
  const long = 'x'.repeat(700_000)
  return withFile(`a\n${long}\r\nlast`, async file => {
    const index = await indexInput(file, 1_000_000)
    assert.equal(index.count, 3)
    assert.equal((await index.read(file, 1)).toString(), long)
    assert.equal((await index.read(file, 2)).toString(), 'last')
    assert.equal((await index.read(file, 0)).toString(), 'a')
  })
})

test('an index of many lines finds each', () => {
  const lines = Array.from({ length: 5000 }, (_, i) => `line ${i}`)
  return withFile(lines.join('\n'), async file => {
    const index = await indexInput(file, 100)
    for (const place of [0, 63, 64, 65, 4999]) assert.equal((await index.read(file, place)).toString(), lines[place])
  })
})

/** A good line, changed. */
function line(changes: object = {}): string {
  return JSON.stringify({ custom_id: 'a', method: 'POST', url: CHAT, body: { model: 'm' }, ...changes })
}

function checkLine(text: string, expected: string): void {
  const parsed = parseLine(Buffer.from(text), CHAT)
  assert.equal(isFault(parsed) ? `${parsed.code} ${parsed.param}` : parsed.customId, expected, text.slice(0, 100))
}

test('a line is a request of the endpoint with a name, or is told what it lacks', () => {
  checkLine(line(), 'a')
  checkLine(line({ url: '/v1/openai/chat/completions', unknown: 1 }), 'a')
  checkLine(line({ body: { model: 'm', stream: false } }), 'a')
  checkLine('nothing', 'invalid_json_line null')
  checkLine('[]', 'invalid_json_line null')
  checkLine(`${line()} {}`, 'invalid_json_line null')
  checkLine(line({ custom_id: undefined }), 'missing_required_parameter custom_id')
  checkLine(line({ custom_id: 7 }), 'invalid_value custom_id')
  checkLine(line({ custom_id: '' }), 'invalid_value custom_id')
  checkLine(line({ custom_id: 'x'.repeat(513) }), 'invalid_value custom_id')
  checkLine(line({ method: 'GET' }), 'invalid_method method')
  checkLine(line({ url: undefined }), 'missing_required_parameter url')
  checkLine(line({ url: '/v1/completions' }), 'mismatched_url url')
  checkLine(line({ body: 'text' }), 'missing_required_parameter body')
  checkLine(line({ body: { stream: true } }), 'unsupported_parameter body.stream')
  checkLine(line({ body: { background: true } }), 'unsupported_parameter body.background')
  const dangerous = parseLine(Buffer.from(line({ body: JSON.parse('{"__proto__": {"x": 1}}') })), CHAT)
  assert.ok(!isFault(dangerous) && Object.keys(dangerous.body).length === 0)
})

const check = (content: string, abandoned = () => false) =>
  withFile(content, file => checkInput(file, CHAT, 10_000, abandoned))

test('an input is checked line by line, and every fault has its number', async () => {
  const good = await check(`${line()}\n${line({ custom_id: 'b' })}\n`)
  assert.deepEqual([good.index.count, good.model, good.errors], [2, 'm', []])
  assert.equal((await check(`${line()}\n${line({ custom_id: 'b', body: { model: 'other' } })}`)).model, null)
  const { errors } = await check(`${line()}\n\n{\n${line()}\n${line({ custom_id: 'x'.repeat(20_000) })}`)
  assert.deepEqual(
    errors.map(({ code, line: number }) => `${number} ${code}`),
    ['3 invalid_json_line', '4 duplicate_custom_id', '5 request_too_large'],
  )
  assert.match(errors[1]?.message ?? '', /that of line 1 too/)
  assert.deepEqual(
    (await check('\n')).errors.map(({ code, line: number }) => `${number} ${code}`),
    ['null empty_file'],
  )
})

test('an input has at most so many lines, and not every one of its faults is listed', async () => {
  const lines = Array.from({ length: LINES_MAX + 1 }, (_, i) => line({ custom_id: String(i) }))
  assert.equal((await check(lines.slice(0, LINES_MAX).join('\n'))).errors.length, 0)
  const { errors } = await check(lines.join('\n'))
  assert.deepEqual(
    errors.map(({ code }) => code),
    ['too_many_requests'],
  )
  assert.equal((await check('{\n'.repeat(500))).errors.length, 100)
  assert.equal((await check(lines.join('\n'), () => true)).index.count, 0)
})

test('both bases of clients mean the same endpoint', () => {
  assert.equal(plainPath('/v1/openai/embeddings'), '/v1/embeddings')
  assert.equal(plainPath('/v1/embeddings'), '/v1/embeddings')
  assert.equal(plainPath('/v1/openai'), '/v1/openai')
})

test('a result is one line of JSON with the answer as it came', () => {
  const answer = '{"n": 1.50,\n"text":"a\\nb"}'
  const text = resultText({ id: 'r', customId: 'a"b' }, { status: 200, requestId: 'req_1', answer })
  assert.equal(text.split('\n').length, 1)
  assert.ok(text.includes('1.50'))
  assert.deepEqual(JSON.parse(text), {
    ...{ id: 'r', custom_id: 'a"b', error: null },
    response: { status_code: 200, request_id: 'req_1', body: { n: 1.5, text: 'a\nb' } },
  })
  assert.deepEqual(JSON.parse(unrunText('r', 'a', { code: 'batch_expired', message: 'Late.' })), {
    ...{ id: 'r', custom_id: 'a', response: null, error: { code: 'batch_expired', message: 'Late.' } },
  })
})

test('an answer decides what becomes of its line', () => {
  const verdict = (status: number, code = 'x', body = JSON.stringify({ error: { code, message: 'Why.' } })) => {
    const { kind, ...rest } = verdictOn({ status, body, retryAfterMs: null })
    return `${kind} ${'error' in rest ? rest.error.code : ''}`.trim()
  }
  assert.equal(verdict(200), 'completed')
  for (const status of [400, 401, 403, 404, 413]) assert.equal(verdict(status), 'failed')
  for (const status of [402, 429, 503]) assert.equal(verdict(status), 'later x')
  for (const status of [500, 502, 504]) assert.equal(verdict(status), 'again x')
  assert.equal(verdict(503, 'model_price_missing'), 'failed')
  const anthropic = JSON.stringify({ type: 'error', error: { type: 'overloaded_error', details: { error_code: 'y' } } })
  assert.equal(verdict(503, '', anthropic), 'later y')
  assert.equal(verdict(502, '', 'no JSON'), 'again server_error')
  assert.equal(verdict(502, '', 'null'), 'again server_error')
})

test('a batch keeps quiet for longer each time, until a line comes through', () => {
  let ms = 0
  const clock = { monotonicMs: () => ms, nowMs: () => 1_000_000 + ms, after: () => () => undefined }
  const pause = new Pause()
  const error = { code: 'x', message: '' }
  const waits: number[] = []
  const putOff = (retryAfterMs: number | null) => {
    pause.putOff(error, retryAfterMs, clock)
    waits.push(pause.untilMs - ms)
  }
  putOff(null)
  // One that was under way together with it.
  putOff(5000)
  for (let i = 0; i < 7; i++) {
    ms = pause.untilMs
    putOff(null)
  }
  assert.deepEqual(waits, [1000, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
  assert.deepEqual(pause.why, { error, sinceMs: 1_000_000 })
  pause.over()
  assert.deepEqual([pause.why, pause.untilMs], [null, 0])
  putOff(10_000)
  ms = pause.untilMs
  putOff(3_600_000)
  assert.deepEqual(waits.slice(-2), [10_000, 60_000])
})

test('lines are begun in turn, again where they were put back, and never when they are done', () => {
  const progress = new Progress(3)
  progress.done(1, 'completed')
  progress.done(1, 'failed')
  assert.deepEqual([progress.begin(), progress.begin(), progress.begin()], [0, 2, null])
  assert.deepEqual([progress.left, progress.running, progress.completed, progress.failed], [2, 2, 1, 0])
  progress.putBack(0)
  progress.done(2, 'failed')
  progress.putBack(2)
  assert.deepEqual([progress.begin(), progress.begin()], [0, null])
  progress.done(0, 'completed')
  assert.deepEqual([progress.left, progress.running, progress.completed, progress.failed], [0, 0, 2, 1])
  assert.equal(new Progress(0).begin(), null)
})

test('slots are taken in order, and given back once', async () => {
  const slots = new Slots(1)
  const order: number[] = []
  const first = await slots.take()
  const others = [2, 3].map(async name => {
    const release = await slots.take()
    order.push(name)
    release()
    release()
  })
  first()
  await Promise.all(others)
  assert.deepEqual(order, [2, 3])
  const again = await slots.take()
  let taken = false
  const waiting = slots.take().then(release => {
    taken = true
    return release
  })
  await Promise.resolve()
  assert.equal(taken, false)
  again()
  ;(await waiting)()
})

test('usage is added up from answers of every protocol', () => {
  const sum = new UsageSum()
  const add = (usage: unknown) => sum.add(JSON.stringify({ response: { body: { usage } } }))
  add({
    ...{ prompt_tokens: 10, completion_tokens: 5, prompt_tokens_details: { cached_tokens: 4 } },
    completion_tokens_details: { reasoning_tokens: 2 },
  })
  add({
    ...{ input_tokens: 100, output_tokens: 50, input_tokens_details: { cached_tokens: 40 } },
    output_tokens_details: { reasoning_tokens: 20 },
  })
  add({ input_tokens: 1, cache_read_input_tokens: 2, cache_creation_input_tokens: 3, output_tokens: 4 })
  add({ prompt_tokens: 7, total_tokens: 7 })
  add(null)
  sum.add('{"response":null}')
  assert.deepEqual(sum.total, {
    ...{ inputTokens: 123, cachedInputTokens: 46, outputTokens: 59, reasoningTokens: 22 },
  })
})
