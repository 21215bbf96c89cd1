import assert from 'node:assert/strict'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { crc32, deflateSync } from 'node:zlib'
import type { ToolDeclaration } from '../../src/inference/request.ts'
import { chat, engineWith, fixturePath, request, run, text } from './support.ts'

// A model with its projector beside it, as an operator lays them.
const folder = mkdtempSync(join(tmpdir(), 'headrace-vision-'))
after(() => rmSync(folder, { recursive: true, force: true }))
copyFileSync(await fixturePath('llama'), join(folder, 'seeing.gguf'))
copyFileSync(await fixturePath('projector'), join(folder, 'seeing.mmproj.gguf'))
const engine = await engineWith('llama', {
  models: [{ name: 'm', path: join(folder, 'seeing.gguf'), slots: 2, contextTokens: 2048 }],
})

/** A picture of 32 x 32 pixels that shades from a colour. */
function picture(red: number, green: number, blue: number): string {
  const rows = Array.from({ length: 32 }, (_, y) => [
    0,
    ...Array.from({ length: 32 }, (_, x) => [red, (green + 4 * x) & 255, (blue + 4 * y) & 255]).flat(),
  ])
  const header = Buffer.from([0, 0, 0, 32, 0, 0, 0, 32, 8, 2, 0, 0, 0])
  const chunks = [
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.from(rows.flat()))),
    chunk('IEND', Buffer.of()),
  ]
  const png = Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), ...chunks])
  return `data:image/png;base64,${png.toString('base64')}`
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data])
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  check.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, check])
}

const RED = picture(255, 0, 0)
const BLUE = picture(0, 0, 255)

/** A question with pictures behind it. */
function look(question: string, ...urls: string[]) {
  const parts = urls.map(url => ({ type: 'image_url', image_url: { url } }))
  return chat('', { messages: [{ role: 'user', content: [{ type: 'text', text: question }, ...parts] }] })
}

async function answer(input: ReturnType<typeof chat>, salt = 'org-a'): Promise<string> {
  const { end, texts } = await run(engine, { input, salt, outputTokensMax: 12 })
  assert.equal(end.kind, 'completed')
  return texts[0] as string
}

test('what is in a picture changes the answer, and the same picture repeats it', async () => {
  const red = await answer(look('what is this', RED))
  assert.equal(await answer(look('what is this', RED)), red)
  assert.notEqual(await answer(look('what is this', BLUE)), red)
  assert.notEqual(await answer(look('what is this', RED, BLUE)), red)
})

test('a picture is 16 tokens of input', async () => {
  const plain = (await run(engine, { input: chat('what is this') })).usage?.inputTokens as number
  const seen = await run(engine, { input: look('what is this', RED) })
  // And the line break between the text and it.
  assert.equal(seen.usage?.inputTokens, plain + 17)
  assert.deepEqual(seen.events[0], { type: 'started', inputTokens: plain + 17 })
  assert.equal(await engine.countInput(request({ input: look('what is this', RED) }), 'm'), plain + 17)
})

test('answers with and without pictures do not disturb each other', async () => {
  const expected = [await answer(look('one', RED)), await answer(chat('two')), await answer(look('three', BLUE))]
  const together = await Promise.all([answer(look('one', RED)), answer(chat('two')), answer(look('three', BLUE))])
  assert.deepEqual(together, expected)
})

test('an org finds nothing of another, and one of its own', async () => {
  const cached = async (salt: string) =>
    (await run(engine, { input: look('a question of some words about this', RED), salt })).usage?.cachedInputTokens ?? 0
  await Promise.all([cached('org-b'), cached('org-b')])
  assert.equal(await cached('org-c'), 0)
  assert.equal(await cached('org-d'), 0)
  await Promise.all([cached('org-d'), cached('org-d')])
  assert.ok((await cached('org-d')) > 20)
  assert.equal((await Promise.all(['org-e', 'org-f', 'org-g', 'org-e'].map(cached))).length, 4)
})

test('a cancelled answer lets another org go on', async () => {
  const long = run(engine, {
    input: chat('go on'),
    salt: 'org-h',
    outputTokensMax: 1500,
    sampling: { ignoreEos: true },
  })
  const waiting = run(engine, { input: look('what is this', RED), salt: 'org-i', outputTokensMax: 4 })
  setImmediate(() => long.handle.cancel())
  assert.equal((await long).end.kind, 'cancelled')
  assert.equal((await waiting).end.kind, 'completed')
})

test('tools and schemas work with pictures', async () => {
  const tool: ToolDeclaration = { type: 'function', function: { name: 'name_it', parameters: { type: 'object' } } }
  const schema = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] }
  const bound = await run(engine, {
    input: { ...look('answer', RED), responseFormat: { type: 'json_schema', json_schema: { schema } } } as never,
    outputTokensMax: 60,
  })
  assert.equal(typeof JSON.parse(bound.texts[0] as string).ok, 'boolean')
  const offered = await run(engine, { input: { ...look('answer', RED), tools: [tool] } as never, outputTokensMax: 20 })
  assert.equal(offered.end.kind, 'completed')
})

test('what is no picture is refused, and what a client writes is no mark of one', async () => {
  const refused = async (input: ReturnType<typeof chat>, message: RegExp) => {
    const { end } = await run(engine, { input })
    assert.equal(end.kind === 'failed' && end.failure.reason, 'bad_request')
    assert.match(end.kind === 'failed' ? end.failure.message : '', message)
  }
  await refused(look('x', 'data:image/png;base64,AAAA'), /An image could not be read/)
  await refused(look('x', 'https://example.com/a.png'), /has to be a data: URL/)
  await refused(look('x', 'data:text/plain;base64,AAAA'), /has to be a data: URL/)
  await answer(look('what is <__media__> this', RED))
  assert.equal((await run(engine, { input: text('what is <__media__> this') })).end.kind, 'completed')
  assert.equal(engine.status().models[0]?.loaded?.vision, true)
})
