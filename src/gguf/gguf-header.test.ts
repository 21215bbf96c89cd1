import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { deriveEntry } from '../models/derive-entry.ts'
import { ggufBytes, temporaryFolder } from '../models/test-support.ts'
import { ensureFixture, type FixtureName } from '../testing/fixtures.ts'
import { describeGguf } from './describe-gguf.ts'
import { GgufError } from './gguf-header.ts'
import { isEncoder, purposeOf } from './model-purpose.ts'

test('a header becomes a description in plain numbers', async () => {
  await using folder = await temporaryFolder()
  const file = path.join(folder.path, 'm.gguf')
  await writeFile(
    file,
    await ggufBytes({
      'llama.attention.head_count_kv': { type: 'array', of: 'uint32', value: [2, 0] },
      'llama.attention.sliding_window': { type: 'uint32', value: 128 },
      'general.license': { type: 'string', value: 'mit' },
      'tokenizer.ggml.model': { type: 'string', value: 'gpt2' },
      'tokenizer.ggml.scores': { type: 'array', of: 'float32', value: Array.from({ length: 5_000 }, () => 0.5) },
      'a.signed': { type: 'int16', value: -3 },
    }),
  )
  const { fileBytes, chatTemplate, ...description } = describeGguf(file)
  assert.ok(fileBytes > 4_096)
  assert.equal(chatTemplate, null)
  assert.deepEqual(description, {
    path: file,
    architecture: 'llama',
    kind: 'model',
    name: 'Tiny',
    license: 'mit',
    organization: null,
    contextTokens: 256,
    quantisation: 'F32',
    parameters: 1024,
    tensorBytes: 4096,
    layers: 2,
    embeddingLength: 64,
    headCounts: [4, 4],
    kvHeadCounts: [2, 0],
    keyLength: 16,
    valueLength: 16,
    slidingWindowTokens: 128,
    vocabularyTokens: 3,
    tokenizerModel: 'gpt2',
    splitCount: 1,
    purpose: 'generate',
    fillsInTheMiddle: false,
    architectureNumbers: {
      context_length: 256,
      block_count: 2,
      embedding_length: 64,
      'attention.head_count': 4,
      'attention.head_count_kv': [2, 0],
      'attention.sliding_window': 128,
    },
  })
})

test('a file cut at any byte is refused, and never crashes the reader', async () => {
  await using folder = await temporaryFolder()
  const file = path.join(folder.path, 'm.gguf')
  const whole = await ggufBytes()
  const headerBytes = whole.length - 4_096
  const cuts = [...Array.from({ length: headerBytes }, (_, index) => index), whole.length - 1]
  for (const cut of cuts) {
    await writeFile(file, whole.subarray(0, cut))
    assert.throws(() => describeGguf(file), GgufError, `cut at ${cut}`)
  }
})

test('damaged headers are refused with the reason', async () => {
  await using folder = await temporaryFolder()
  const file = path.join(folder.path, 'm.gguf')
  const check = async (damage: (bytes: Buffer) => void, reason: RegExp) => {
    const bytes = await ggufBytes()
    damage(bytes)
    await writeFile(file, bytes)
    assert.throws(() => describeGguf(file), reason)
  }
  await check(bytes => bytes.writeUInt32LE(1, 4), /version 1; versions 2 and 3/)
  await check(bytes => bytes.writeUInt32BE(3, 4), /big-endian/)
  await check(bytes => bytes.writeBigUInt64LE(2n ** 60n, 8), /announces \d+ tensors/)
  await check(bytes => bytes.writeBigUInt64LE(2n ** 60n, 16), /metadata keys; at most/)
  await check(
    bytes => bytes.writeUInt32LE(99, bytes.indexOf('general.name') + 12),
    /"general.name" has the unknown type 99/,
  )
  await check(bytes => bytes.write('general.architectura', 32), /names no general.architecture/)
})

test('capabilities of a brought file come from its chat template', async () => {
  await using folder = await temporaryFolder()
  const file = path.join(folder.path, 'm.gguf')
  const brought = { id: 'mine', bytes: 1, sha256: 'ab', name: 'm.gguf', source: null, price: null }
  const check = async (template: string | null, capabilities: Record<string, boolean>) => {
    await writeFile(
      file,
      await ggufBytes(template === null ? {} : { 'tokenizer.chat_template': { type: 'string', value: template } }),
    )
    assert.deepEqual(deriveEntry(describeGguf(file), brought).capabilities, {
      completion: true,
      logprobs: true,
      ...capabilities,
    })
  }
  await check(null, { chat: false, tools: false, reasoning: false, jsonSchema: false })
  await check('{{ messages }}', { chat: true, tools: false, reasoning: false, jsonSchema: true })
  await check('{% if tools %}{% endif %}', { chat: true, tools: true, reasoning: false, jsonSchema: true })
  await check('{{ "<think>" }}', { chat: true, tools: false, reasoning: true, jsonSchema: true })
})

test('what a model is for comes from its pooling type and architecture', () => {
  const check = (architecture: string, pooling: number | null, purpose: string, encoder = false) => {
    const metadata = new Map<string, string | number>([['general.architecture', architecture]])
    if (pooling !== null) metadata.set(`${architecture}.pooling_type`, pooling)
    assert.deepEqual([purposeOf(metadata), isEncoder(metadata)], [purpose, encoder], `${architecture} ${pooling}`)
  }
  check('llama', null, 'generate')
  check('llama', 0, 'generate')
  check('llama', 77, 'generate')
  check('qwen3', 3, 'embed')
  check('qwen3', 4, 'rerank')
  check('bert', null, 'embed', true)
  check('bert', 0, 'embed', true)
  check('nomic-bert', 1, 'embed', true)
  check('bert', 4, 'rerank', true)
})

test('a brought file that embeds, ranks or fills in is offered for that', async () => {
  await using folder = await temporaryFolder()
  const brought = { id: 'mine', bytes: 1, sha256: 'ab', name: 'm.gguf', source: null, price: null }
  const check = async (fixture: FixtureName, able: readonly string[]) => {
    const { capabilities } = deriveEntry(describeGguf(await ensureFixture(fixture, folder.path)), brought)
    assert.deepEqual(
      Object.entries(capabilities).flatMap(([name, can]) => (can ? [name] : [])),
      able,
      fixture,
    )
  }
  await check('embedding', ['embeddings'])
  await check('reranker', ['rerank'])
  await check('llama', ['chat', 'completion', 'tools', 'jsonSchema', 'logprobs'])
  await check('fim', ['chat', 'completion', 'tools', 'jsonSchema', 'logprobs', 'suffix'])
})

test('marks of fill-in-the-middle are found by name, and only all three together', async () => {
  await using folder = await temporaryFolder()
  const file = path.join(folder.path, 'm.gguf')
  const check = async (tokens: string[], fills: boolean) => {
    await writeFile(file, await ggufBytes({ 'tokenizer.ggml.tokens': { type: 'array', of: 'string', value: tokens } }))
    const description = describeGguf(file)
    assert.deepEqual([description.fillsInTheMiddle, description.vocabularyTokens], [fills, tokens.length])
  }
  await check(['a', '<PRE>', '<SUF>', 'b', '<MID>'], true)
  await check(['<｜fim▁begin｜>', '<｜fim▁hole｜>', '<｜fim▁end｜>'], true)
  await check(['<PRE>', '<SUF>', 'xxxxx'], false)
})
