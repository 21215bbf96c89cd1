import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { InferenceRequest } from '../../inference/request.ts'
import { decodeChat } from '../../protocols/openai-chat/decode.ts'
import { decodeCompletion } from '../../protocols/openai-completions/decode.ts'
import { countInputLower, countInputUpper } from './count-input.ts'
import { TokenCounter } from './token-counter.ts'

const FIXTURE = join(import.meta.dirname, '../../../test/support/tokenizer')
const FILE = join(FIXTURE, 'tokenizer.json')
/** Texts with their numbers of tokens by the reference implementation. */
const { counts }: { counts: [text: string, tokens: number][] } = JSON.parse(
  readFileSync(join(FIXTURE, 'counts.json'), 'utf8'),
)

const folder = mkdtempSync(join(tmpdir(), 'hr-tokenizer-'))
const counters: TokenCounter[] = []
after(async () => {
  for (const counter of counters) await counter.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A counter whose time passes when the test says so, and what it complained about. */
function newCounter(): { counter: TokenCounter; complaints: string[]; timeOut: (question: number) => void } {
  const complaints: string[] = []
  const timers: (() => void)[] = []
  const counter = new TokenCounter(
    (_delayMs, callback) => {
      timers.push(callback)
      return () => undefined
    },
    message => complaints.push(message),
  )
  counters.push(counter)
  return { counter, complaints, timeOut: question => timers[question]?.() }
}

test('counts as the reference implementation does', async () => {
  const { counter } = newCounter()
  for (const [text, tokens] of counts) assert.equal(await counter.count(FILE, [text]), tokens, JSON.stringify(text))
  const all = counts.reduce((sum, [, tokens]) => sum + tokens, 0)
  assert.equal(
    await counter.count(
      FILE,
      counts.map(([text]) => text),
    ),
    all,
  )
  assert.equal(await counter.count(FILE, []), 0)
})

test('a file is loaded once, and a few are kept', async () => {
  const { counter, complaints } = newCounter()
  const files = ['a', 'b', 'c', 'd', 'e'].map(name => join(folder, `${name}.json`))
  for (const file of files.slice(0, 4)) {
    copyFileSync(FILE, file)
    assert.equal(await counter.count(file, ['hi']), 2)
    rmSync(file)
  }
  // Used again, so `b` is now the one unused for longest.
  assert.equal(await counter.count(files[0] as string, ['hi']), 2)
  copyFileSync(FILE, files[4] as string)
  assert.equal(await counter.count(files[4] as string, ['hi']), 2)
  assert.equal(await counter.count(files[0] as string, ['hi']), 2)
  await assert.rejects(counter.count(files[1] as string, ['hi']), /ENOENT/)
  assert.equal(complaints.length, 1)
})

test('a file that is no tokenizer is named once, and the next count works', async () => {
  const { counter, complaints } = newCounter()
  const wrong = {
    'text.json': 'hello',
    'empty.json': '{}',
    'array.json': '[]',
    'model.json': '{"model":{"type":"Magic"}}',
  }
  for (const [name, content] of Object.entries(wrong)) {
    const file = join(folder, name)
    writeFileSync(file, content)
    await assert.rejects(counter.count(file, ['hi']), new RegExp(name))
    await assert.rejects(counter.count(file, ['hi']), new RegExp(name))
  }
  assert.equal(complaints.length, Object.keys(wrong).length)
  assert.equal(await counter.count(FILE, ['hi']), 2)
})

test('what takes too long is given up, and those behind it are answered', async () => {
  const { counter, timeOut } = newCounter()
  const slow = counter.count(FILE, ['ab '.repeat(1_000_000)])
  const behind = counter.count(FILE, ['hi'])
  const given = counter.count(FILE, ['hi'])
  timeOut(2)
  await assert.rejects(given, /longer than 5000 ms/)
  timeOut(0)
  await assert.rejects(slow, /longer than 5000 ms/)
  assert.equal(await behind, 2)
  // Too late: it was answered.
  timeOut(1)
  assert.equal(await counter.count(FILE, ['hi']), 2)
})

test('bounds: the length of texts, the number that waits, and the end', async () => {
  const { counter } = newCounter()
  await assert.rejects(counter.count(FILE, ['a'.repeat(2_000_000), 'a'.repeat(2_000_001)]), /4000000 characters/)
  const waiting = Array.from({ length: 64 }, () => counter.count(FILE, ['hi']))
  await assert.rejects(counter.count(FILE, ['hi']), /64 counts wait/)
  assert.deepEqual(await Promise.all(waiting), Array(64).fill(2))
  const last = counter.count(FILE, ['hi'])
  await Promise.all([assert.rejects(last, /closed/), counter.close()])
  await assert.rejects(counter.count(FILE, ['hi']), /closed/)
})

const bytesOf = (body: object) => Buffer.from(JSON.stringify({ model: 'm', ...body }))

async function check(request: InferenceRequest, texts: readonly string[], tokenIds: number): Promise<void> {
  const { counter } = newCounter()
  const tokens = await counter.count(FILE, texts)
  assert.equal(await countInputLower(request, counter, FILE), tokens + tokenIds)
  const upper = await countInputUpper(request, counter, FILE)
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  assert.equal(upper, request.inputTokensBound - bytes + tokens)
  assert.ok(upper >= tokens + tokenIds)
}

test('of a request the texts are counted, and all else stays bounded by the bytes', async () => {
  const long = 'model price tokens '.repeat(100)
  await check(decodeChat(bytesOf({ messages: [{ role: 'user', content: long }] }), 'req_T'), [long], 0)
  const parts = [
    { type: 'text', text: '你好' },
    { type: 'text', text: 'hi' },
  ]
  const messages = [
    { role: 'system', content: 'hi' },
    { role: 'user', content: parts },
  ]
  await check(decodeChat(bytesOf({ messages }), 'req_T'), ['hi', '你好', 'hi'], 0)
  await check(decodeCompletion(bytesOf({ prompt: ['once', 'twice'] }), 'req_T'), ['once', 'twice'], 0)
  await check(decodeCompletion(bytesOf({ prompt: [[1, 2, 3], [4]] }), 'req_T'), [], 4)
})
