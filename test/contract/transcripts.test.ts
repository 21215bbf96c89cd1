import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { ApiError } from '../../src/errors.ts'
import type { InferenceEvent, UpstreamFailure } from '../../src/inference/event.ts'
import type { JsonObject } from '../../src/inference/request.ts'
import { USAGE_ABSENT, type Usage } from '../../src/inference/usage.ts'
import { choiceCount } from '../../src/protocols/protocol.ts'
import { PROTOCOLS } from '../../src/protocols/protocols.ts'
import { decodeNow } from '../../src/protocols/testing.ts'
import { OpenAiStreamDecoder } from '../../src/upstreams/dialects/openai/stream-decoder.ts'

/*
 * Golden transcripts. Each folder `transcripts/<dialect>/<case>/` holds `case.json` (what the client asked) and
 * `upstream.sse` (what the upstream answered, byte for byte); the other files are what we make of them and are rewritten
 * by `UPDATE=1`. Every transcript is cut in two at every byte, and has to give the same events, usage and client bytes.
 */

interface Case {
  readonly protocol: string
  readonly publicModel: string
  readonly body: JsonObject
}

interface Outcome {
  readonly events: unknown[]
  readonly failure: UpstreamFailure | null
  readonly usage: Usage
  readonly client: string
}

const ROOT = join(import.meta.dirname, 'transcripts')
const CREATED_S = 1_763_900_000

function run(spec: Case, chunks: readonly Uint8Array[], passthrough: boolean, stream: boolean): Outcome {
  const codec = PROTOCOLS.find(each => each.protocol === spec.protocol)
  assert.ok(codec !== undefined, spec.protocol)
  const request = decodeNow(codec, { ...spec.body, stream }, 'req_TRANSCRIPT')
  const encoder = codec.encoder(request, spec.publicModel, CREATED_S)
  const decoder = new OpenAiStreamDecoder({ passthrough, publicModel: spec.publicModel, choices: choiceCount(request) })
  const events: InferenceEvent[] = []
  const sent: Uint8Array[] = []
  let usage = USAGE_ABSENT
  let usageExtra: JsonObject | undefined
  const emit = (event: InferenceEvent) => {
    events.push(event)
    if (event.type === 'started') encoder.started(event)
    else if (event.type === 'delta') sent.push(encoder.delta(event))
    else if (event.type === 'frame') sent.push(encoder.frame(event))
    else if (event.type === 'finish') sent.push(encoder.finish(event.choice, event.reason))
    else if (event.type === 'usage') {
      usage = event.usage
      usageExtra = event.extra
    }
  }
  let failure: UpstreamFailure | null = null
  for (const chunk of chunks) failure ??= decoder.push(chunk, emit)
  failure ??= decoder.end(emit)
  if (failure !== null) sent.push(encoder.error(new ApiError('upstream_error', failure.message)))
  else sent.push(encoder.complete({ usage, chargeNanodollars: chargeOf(usage), usageExtra }))
  return { events: merged(events), failure, usage, client: Buffer.concat(sent).toString() }
}

/** At $1.30, $0.10 and $2.60 per million input, cached input and output tokens. */
function chargeOf(usage: Usage): bigint {
  const uncached = BigInt(usage.inputTokens - usage.cachedInputTokens)
  return uncached * 1300n + BigInt(usage.cachedInputTokens) * 100n + BigInt(usage.outputTokens) * 2600n
}

/** Adjacent frames joined: how many of them one chunk brought is an accident of the line. */
function merged(events: readonly InferenceEvent[]): unknown[] {
  const out: unknown[] = []
  let run: { type: 'frame'; bytes: string; tokens: number; finishes: number } | undefined
  for (const event of events) {
    if (event.type !== 'frame') {
      run = undefined
      out.push(event)
    } else if (run !== undefined && run.finishes === 0 && event.finishes === 0) {
      run.bytes += Buffer.from(event.bytes).toString('latin1')
      run.tokens += event.tokens
    } else {
      run = {
        type: 'frame',
        bytes: Buffer.from(event.bytes).toString('latin1'),
        tokens: event.tokens,
        finishes: event.finishes,
      }
      out.push(run)
    }
  }
  return out
}

function checkGolden(file: string, actual: string): void {
  if (process.env.UPDATE === '1') writeFileSync(file, actual)
  assert.ok(existsSync(file), `${file} is missing; UPDATE=1 writes it`)
  assert.equal(actual, readFileSync(file, 'utf8'), file)
}

/** As JSON, with money as a decimal text. */
function json(value: unknown): string {
  return JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? String(part) : part))
}

/** Frames are shown as the length of their bytes: the bytes themselves stand in the client's file. */
function eventsFile(outcome: Outcome): string {
  const lines = outcome.events.map(event => {
    const { bytes, ...rest } = event as { bytes?: string }
    return json(bytes === undefined ? rest : { ...rest, bytes: bytes.length })
  })
  return `${lines.join('\n')}\n${JSON.stringify({ end: outcome.failure ?? 'completed', usage: outcome.usage })}\n`
}

const MODES = [
  { name: 'passthrough', passthrough: true, stream: true, extension: 'sse' },
  { name: 'decoded', passthrough: false, stream: true, extension: 'sse' },
  { name: 'buffered', passthrough: false, stream: false, extension: 'json' },
] as const

const files = globSync('*/*/case.json', { cwd: ROOT }).sort()
assert.ok(files.length > 0, 'no transcripts found')
for (const file of files) {
  const folder = dirname(join(ROOT, file))
  const spec: Case = JSON.parse(readFileSync(join(ROOT, file), 'utf8'))
  const upstream = readFileSync(join(folder, 'upstream.sse'))
  for (const mode of MODES) {
    test(`${dirname(file)}, ${mode.name}`, () => {
      const whole = run(spec, [upstream], mode.passthrough, mode.stream)
      checkGolden(join(folder, `client.${mode.name}.${mode.extension}`), whole.client)
      // A buffered answer comes from the same events as a decoded stream.
      if (!mode.stream) return
      checkGolden(join(folder, `events.${mode.name}.jsonl`), eventsFile(whole))
      const expected = json(whole)
      for (let cut = 1; cut < upstream.length; cut++) {
        const parts = run(spec, [upstream.subarray(0, cut), upstream.subarray(cut)], mode.passthrough, mode.stream)
        if (json(parts) !== expected) assert.deepEqual(parts, whole, `cut at byte ${cut}`)
      }
    })
  }
}
