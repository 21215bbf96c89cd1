import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import { createSimServer } from '../../src/simulation/sim-server.ts'
import { startScriptedUpstream } from '../conformance/scripted-upstream.ts'
import { newHome, type ServerProcess, startServer } from '../support/server.ts'
import { type Schema, valuesOf } from './schema-arbitrary.ts'

/**
 * Requests made of the API's own description, most of them wrong somewhere: none may be answered with a mistake of ours, hang, leave a
 * hold or cost memory, and what succeeds keeps to its schema. `FUZZ=10000 npm test -- fuzz` for many; `SEED=` repeats a run.
 */

const REQUESTS = Number(process.env.FUZZ ?? 800)
const SEED = Number(process.env.SEED ?? Date.now() % 2 ** 31)
const AT_ONCE = 8
/** Far above what any answer of a simulated model takes. */
const HANG_MS = 30_000
/** What an upstream or a full queue may answer with: nobody's mistake. */
const EXPECTED_5XX = new Set([502, 503, 504])
/** Resident memory may grow so much between the first quarter of the run and its end. */
const GROWTH_BYTES_MAX = 96 * 2 ** 20

const PRICE = { input: '0.5', cachedInput: '0.1', output: '1' }
const GENERATES = { chat: true, completion: true, tools: true, reasoning: true, jsonSchema: true, logprobs: true }
const UNDERSTANDS = { chat: false, tools: false, jsonSchema: false, embeddings: true, rerank: true }

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema?: Schema }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> }
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema: Schema }>> }>
  >
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

interface Asked {
  readonly method: string
  readonly path: string
  readonly operation: Operation
  readonly url: string
  readonly body: Uint8Array | undefined
}

/** A request for one of the operations; text that is not even JSON now and then. */
function requestsTo(document: Document): fc.Arbitrary<Asked> {
  const { schemas } = document.components
  const pinned = {
    model: fc.oneof(
      { weight: 9, arbitrary: fc.constant('sim') },
      { weight: 4, arbitrary: fc.constant('embedder') },
      { weight: 1, arbitrary: fc.string() },
    ),
  }
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  )
  return fc.oneof(
    ...operations.map(({ path, method, operation }) => {
      // What is read by an id is nearly always not there.
      const weight = path.includes('{') ? 1 : 4
      const { parameters = [], requestBody } = operation
      const values = fc.record(
        Object.fromEntries(
          parameters.map(each => [each.name, valuesOf(each.schema ?? {}, schemas, { oneIn: 8, pinned })]),
        ),
      )
      const schema = requestBody?.content['application/json']?.schema
      const json = (oneIn: number) =>
        valuesOf(schema ?? {}, schemas, { oneIn, pinned }).map(value => Buffer.from(JSON.stringify(value) ?? ''))
      const body: fc.Arbitrary<Uint8Array | undefined> =
        requestBody === undefined
          ? fc.constant(undefined)
          : fc.oneof(
              { weight: 6, arbitrary: json(0) },
              { weight: 6, arbitrary: json(40) },
              { weight: 1, arbitrary: json(0).map(bytes => bytes.subarray(0, bytes.length >> 1)) },
              { weight: 1, arbitrary: fc.uint8Array({ maxLength: 64 }) },
            )
      const arbitrary = fc.tuple(values, body).map(([given, bytes]): Asked => {
        const inPath = path.replace(/\{(\w+)\}/g, (_, name: string) => segmentOf(given[name]))
        const query = new URLSearchParams(
          parameters.flatMap(each => (each.in === 'query' ? [[each.name, wellFormed(given[each.name])]] : [])),
        )
        return { method, path, operation, url: `${inPath}?${query}`, body: bytes }
      })
      return { weight, arbitrary }
    }),
  )
}

/** A value as one segment of a path. Nothing, and dots, would make another path. */
function segmentOf(value: unknown): string {
  const text = wellFormed(value)
  return /^\.{0,2}$/.test(text) ? 'nothing' : encodeURIComponent(text)
}

function wellFormed(value: unknown): string {
  return (typeof value === 'string' ? value : JSON.stringify(value)).toWellFormed()
}

/** Schemas of answers, each compiled once. */
function answerChecks({ components }: Document) {
  const compiled = new Map<Schema, z.ZodType>()
  const $defs = JSON.parse(JSON.stringify(components.schemas).replaceAll('#/components/schemas/', '#/$defs/'))
  return (schema: Schema): z.ZodType => {
    let check = compiled.get(schema)
    if (check === undefined) {
      const own = JSON.parse(JSON.stringify(schema).replaceAll('#/components/schemas/', '#/$defs/'))
      check = z.fromJSONSchema({ ...own, $defs })
      compiled.set(schema, check)
    }
    return check
  }
}

async function ask(server: ServerProcess, asked: Asked, checkOf: (schema: Schema) => z.ZodType): Promise<number> {
  const said =
    `${asked.method.toUpperCase()} ${asked.url} ${asked.body === undefined ? '' : Buffer.from(asked.body).toString()}`.slice(
      0,
      2000,
    )
  const response = await fetch(server.url + asked.url, {
    method: asked.method.toUpperCase(),
    headers: { authorization: `Bearer ${server.key}`, 'content-type': 'application/json' },
    ...(asked.body !== undefined && { body: Buffer.from(asked.body) }),
    signal: AbortSignal.timeout(HANG_MS),
  })
  const text = await response.text()
  const { status } = response
  assert.ok(status < 500 || EXPECTED_5XX.has(status), `${status} ${text.slice(0, 500)} to ${said}`)
  assert.ok((response.headers.get('x-request-id') ?? '') !== '', `no id on ${status} to ${said}`)
  const [type = ''] = (response.headers.get('content-type') ?? '').split(';')
  const schema = asked.operation.responses[String(status)]?.content?.[type]?.schema
  if (status >= 400) {
    assert.equal(type, 'application/json', said)
    assert.ok(text.length > 2 && typeof JSON.parse(text) === 'object', said)
  } else if (type === 'application/json' && schema !== undefined) {
    const checked = checkOf(schema).safeParse(JSON.parse(text))
    assert.ok(checked.success, `${checked.error?.message}: ${text.slice(0, 500)} to ${said}`)
  } else if (type === 'text/event-stream' && schema !== undefined) {
    for (const [, data] of text.matchAll(/^data: (\{.*)$/gm)) {
      const event = JSON.parse(data as string)
      const checked = checkOf(schema).safeParse(event)
      assert.ok(checked.success || 'error' in event, `${checked.error?.message}: ${data} to ${said}`)
    }
  }
  return status
}

function residentBytes(pid: number): number {
  const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib) * 1024
}

async function gauge(server: ServerProcess, name: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1])
}

test(`${REQUESTS} requests made of the description find no mistake of ours (SEED=${SEED})`, {
  timeout: 1_800_000,
}, async () => {
  const upstream = createSimServer({
    ...{ tokensPerSecond: null, answerTokens: 8, cacheTokensMax: 10_000, slots: 64, faultRate: 0, seed: 1 },
  })
  await new Promise<void>(resolve => upstream.listen(0, '127.0.0.1', resolve))
  after(() => upstream.close())
  const scripted = await startScriptedUpstream()
  after(() => scripted.close())
  const server = await startServer(newHome(), {
    upstreams: [
      {
        ...{
          id: 'sim',
          baseUrl: `http://127.0.0.1:${(upstream.address() as AddressInfo).port}/v1`,
          allowPrivate: true,
        },
        models: [{ model: 'sim', name: 'sim', contextTokens: 8192, price: PRICE, capabilities: GENERATES }],
      },
      {
        ...{ id: 'scripted', baseUrl: scripted.baseUrl, allowPrivate: true },
        models: [{ model: 'embedder', name: 'embedder', contextTokens: 8192, price: PRICE, capabilities: UNDERSTANDS }],
      },
    ],
    money: { startingCredit: '100000' },
    log: { level: 'error' },
  })
  const document: Document = JSON.parse(await (await fetch(`${server.url}/openapi.json`)).text())
  const asked = fc.sample(requestsTo(document), { numRuns: REQUESTS, seed: SEED })
  const checkOf = answerChecks(document)
  const statuses = new Map<number, number>()
  let next = 0
  let warmBytes = 0
  const worker = async () => {
    for (let i = next++; i < asked.length; i = next++) {
      const status = await ask(server, asked[i] as Asked, checkOf)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      if (i === asked.length >> 2) warmBytes = residentBytes(server.pid)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
  const told = [...statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`)
  assert.ok((statuses.get(200) ?? 0) > REQUESTS / 10, `too few are whole to find anything: ${told.join(', ')}`)
  assert.ok((statuses.get(400) ?? 0) > REQUESTS / 10, told.join(', '))
  assert.equal(await gauge(server, 'headrace_requests_running'), 0)
  assert.equal(await gauge(server, 'headrace_holds_open'), 0)
  const grown = residentBytes(server.pid) - warmBytes
  assert.ok(grown < GROWTH_BYTES_MAX, `${Math.round(grown / 2 ** 20)} MiB more than after a quarter`)
  const verified = await server.control.verifyLedger()
  assert.deepEqual(verified.problems, [])
  process.stdout.write(`  ${told.join(', ')}; ${Math.round(grown / 2 ** 20)} MiB grown\n`)
  await server.stop()
})
