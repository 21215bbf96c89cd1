import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { UpstreamFailure } from '../../src/inference/event.ts'
import type { InferenceRequest, JsonObject } from '../../src/inference/request.ts'
import { USAGE_ABSENT, type Usage } from '../../src/inference/usage.ts'
import { parsePricePerMillion, picodollarsToNanodollars } from '../../src/ledger/money.ts'
import { choiceCount } from '../../src/protocols/protocol.ts'
import { PROTOCOLS } from '../../src/protocols/protocols.ts'
import { decodeNow } from '../../src/protocols/testing.ts'
import { charge } from '../../src/settlement/charge.ts'
import { finalUsage, inputTokensLower } from '../../src/settlement/final-usage.ts'
import { MessagesStreamDecoder } from '../../src/upstreams/dialects/anthropic/stream-decoder.ts'
import { OpenAiStreamDecoder } from '../../src/upstreams/dialects/openai/stream-decoder.ts'
import { UsageReader, type UsageShape } from '../../src/upstreams/dialects/usage-normaliser.ts'
import { SseParser } from '../../src/wire/sse-parser.ts'

/*
 * The usage suite: what each upstream reports, in `transcripts/<dialect>/<case>/`, against the usage and the charge that
 * `usage.json` says it is worth (transcripts/README.md explains the format). Each answer is cut in two at every byte, and has to give the same.
 */

interface Expected {
  readonly wire: UsageShape
  readonly ending: 'completed' | 'failed'
  readonly shape: string
  readonly reported: Usage
  readonly reportedCostNanodollars: string | null
  readonly settled: Usage | null
  readonly chargeNanodollars: string | null
}

/** What one way of reading an answer makes of its usage. */
interface Found {
  /** Undefined where no protocol of ours speaks the wire yet. */
  ending: Expected['ending'] | undefined
  reported: Usage
  reportedCostNanodollars: bigint | undefined
  /** After our own counting; null where no protocol of ours speaks the wire yet and something is absent. */
  settled: Usage | null
}

type Parts = readonly Buffer[]

const ROOT = join(import.meta.dirname, 'transcripts')
const PRICES = JSON.parse(readFileSync(join(ROOT, 'prices.json'), 'utf8'))
const PRICE = {
  id: 'price_suite',
  modelId: 'suite',
  fromMs: 0,
  toMs: null,
  inputPicodollars: parsePricePerMillion(PRICES.input),
  cachedInputPicodollars: parsePricePerMillion(PRICES.cachedInput),
  outputPicodollars: parsePricePerMillion(PRICES.output),
  requestPicodollars: 0n,
}
const HOLD_NANODOLLARS = 10n ** 15n
const FRAME_BYTES_MAX = 1024 * 1024

function chargeOf(usage: Usage): bigint {
  const fresh = usage.inputTokens - usage.cachedInputTokens - usage.cacheWriteTokens
  return picodollarsToNanodollars(
    BigInt(fresh) * PRICE.inputPicodollars +
      BigInt(usage.cachedInputTokens) * PRICE.cachedInputPicodollars +
      BigInt(usage.cacheWriteTokens) * parsePricePerMillion(PRICES.cacheWrite) +
      BigInt(usage.outputTokens) * PRICE.outputPicodollars,
  )
}

/** Reads an answer as a request through an upstream does: decoder, counts of what passed, final usage. */
function throughDecoder(folder: string, parts: Parts, passthrough: boolean): Found {
  const spec: { protocol: string; publicModel: string; body: JsonObject } = readJson(join(folder, 'case.json'))
  const codec = PROTOCOLS.find(each => each.protocol === spec.protocol)
  assert.ok(codec !== undefined, spec.protocol)
  const request: InferenceRequest = decodeNow(codec, spec.body, 'req_SUITE')
  const decoder = new OpenAiStreamDecoder({ passthrough, publicModel: spec.publicModel, choices: choiceCount(request) })
  let reported = USAGE_ABSENT
  let cost: bigint | undefined
  let inputTokens: number | undefined
  let outputTokens = 0
  const emit: Parameters<OpenAiStreamDecoder['push']>[1] = event => {
    if (event.type === 'started') inputTokens = event.inputTokens
    else if (event.type === 'delta' || event.type === 'frame') outputTokens += event.tokens
    else if (event.type === 'usage') {
      reported = event.usage
      cost = event.reportedCostNanodollars
    }
  }
  let failure: UpstreamFailure | null = null
  for (const part of parts) failure ??= decoder.push(part, emit)
  failure ??= decoder.end(emit)
  const observed = { outputTokens, inputTokensLower: () => inputTokensLower(request) }
  const settled = finalUsage(reported, inputTokens === undefined ? observed : { ...observed, inputTokens })
  return { ending: failure === null ? 'completed' : 'failed', reported, reportedCostNanodollars: cost, settled }
}

/** Reads an answer of the Messages API as a request through an upstream that speaks it does. */
function throughMessages(parts: Parts): Found {
  const decoder = new MessagesStreamDecoder()
  let reported = USAGE_ABSENT
  const emit: Parameters<MessagesStreamDecoder['push']>[1] = event => {
    if (event.type === 'usage') reported = event.usage
  }
  let failure: UpstreamFailure | null = null
  for (const part of parts) failure ??= decoder.push(part, emit)
  failure ??= decoder.end(emit)
  const whole = reported.inputSource !== 'absent' && reported.outputSource !== 'absent'
  const ending = failure === null ? 'completed' : 'failed'
  return { ending, reported, reportedCostNanodollars: undefined, settled: whole ? reported : null }
}

/** Reads an answer of a wire that no protocol of ours speaks yet: its frames, in order, straight into the reader. */
function throughReader(shape: UsageShape, extension: string, parts: Parts): Found {
  const reader = new UsageReader(shape)
  let reported = USAGE_ABSENT
  let cost: bigint | undefined
  const take = (frame: string) => {
    const found = reader.read(JSON.parse(frame))
    if (found === undefined) return
    reported = found.usage
    cost = found.reportedCostNanodollars
  }
  if (extension === 'json') take(Buffer.concat(parts).toString())
  else if (extension === 'ndjson') forEachLine(parts, take)
  else forEachEvent(parts, take)
  const whole = reported.inputSource !== 'absent' && reported.outputSource !== 'absent'
  return { ending: undefined, reported, reportedCostNanodollars: cost, settled: whole ? reported : null }
}

function forEachEvent(parts: Parts, take: (data: string) => void): void {
  const parser = new SseParser({ frameBytesMax: FRAME_BYTES_MAX })
  const drain = () => {
    while (parser.next()) take(parser.dataBytes.toString('utf8', parser.dataStart, parser.dataEnd))
  }
  for (const part of parts) {
    parser.push(part)
    drain()
  }
  parser.end()
  drain()
}

function forEachLine(parts: Parts, take: (line: string) => void): void {
  let rest = Buffer.alloc(0)
  for (const part of parts) {
    rest = Buffer.concat([rest, part])
    for (let end = rest.indexOf('\n'); end !== -1; end = rest.indexOf('\n')) {
      take(rest.toString('utf8', 0, end))
      rest = rest.subarray(end + 1)
    }
  }
  if (rest.length > 0) take(rest.toString('utf8'))
}

function readJson(file: string) {
  return JSON.parse(readFileSync(file, 'utf8'))
}

function check(found: Found, expected: Expected, where: string): void {
  assert.equal(found.ending ?? expected.ending, expected.ending, `ending, ${where}`)
  assert.deepEqual(found.reported, expected.reported, `reported, ${where}`)
  assert.equal(found.reportedCostNanodollars?.toString() ?? null, expected.reportedCostNanodollars, `cost, ${where}`)
  assert.deepEqual(found.settled, expected.settled, `settled, ${where}`)
  const { settled } = found
  assert.equal(settled && chargeOf(settled).toString(), expected.chargeNanodollars, `charge, ${where}`)
  if (settled === null || settled.cacheWriteTokens > 0) return
  const outcome = {
    ending: expected.ending,
    usage: settled,
    prefillBegan: true,
    outputBegan: true,
    admittedMs: 0,
    tier: 'standard' as const,
  }
  const owed = charge(outcome, PRICE, HOLD_NANODOLLARS).chargeNanodollars
  assert.equal(owed.toString(), expected.chargeNanodollars, `what is settled, ${where}`)
}

const files = globSync('*/*/usage.json', { cwd: ROOT }).sort()

test('every transcript says what it is worth and where its shape comes from', () => {
  assert.ok(files.length > 0)
  assert.deepEqual(files.map(dirname).sort(), globSync('*/*/upstream.*', { cwd: ROOT }).map(dirname).sort())
  for (const file of files) assert.match(readJson(join(ROOT, file)).shape, /[Hh]and-made/, file)
})

for (const file of files) {
  const folder = dirname(join(ROOT, file))
  const expected: Expected = readJson(join(ROOT, file))
  const extension = ['sse', 'ndjson', 'json'].find(each => existsSync(join(folder, `upstream.${each}`)))
  assert.ok(extension !== undefined, file)
  const bytes = readFileSync(join(folder, `upstream.${extension}`))
  const ways: Record<string, (parts: Parts) => Found> = existsSync(join(folder, 'case.json'))
    ? {
        passthrough: parts => throughDecoder(folder, parts, true),
        decoded: parts => throughDecoder(folder, parts, false),
      }
    : {
        read: parts => throughReader(expected.wire, extension, parts),
        ...(expected.wire === 'anthropic-messages' && extension === 'sse' && { decoded: throughMessages }),
      }
  for (const [name, way] of Object.entries(ways)) {
    test(`${dirname(file)}, ${name}`, () => {
      check(way([bytes]), expected, 'whole')
      const single = Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))
      check(way(single), expected, 'byte by byte')
      for (let cut = 1; cut < bytes.length; cut++)
        check(way([bytes.subarray(0, cut), bytes.subarray(cut)]), expected, `cut at byte ${cut}`)
    })
  }
}
