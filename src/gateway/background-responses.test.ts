import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Caller } from '../admission/authenticate.ts'
import { ApiError } from '../errors.ts'
import type { JsonObject } from '../inference/request.ts'
import type { Model } from '../inference/snapshot.ts'
import type { KeptDocument, KeptDocuments } from '../ledger/kept-document.ts'
import { CODEC, requestOf } from '../protocols/openai-responses/testing.ts'
import { BackgroundResponses } from './background-responses.ts'
import type { ClientPort } from './client-port.ts'
import type { Incoming } from './incoming.ts'

const KEEP_MS = 1000
const ADMITTED_MS = 1_700_000_000_000
const caller = { org: { id: 'org' }, key: { id: 'key' } } as Caller
const model = { id: 'public/model' } as Model

/** Documents in memory, as far as background responses use them. */
function memory() {
  const documents = new Map<string, KeptDocument>()
  const kept = {
    async put(...put: KeptDocument[]) {
      for (const document of put) documents.set(document.id, document)
    },
    async replace(document: KeptDocument, states: readonly string[] = []) {
      const found = documents.get(document.id)
      if (found === undefined || !states.includes(found.state)) return false
      documents.set(document.id, document)
      return true
    },
    async list({ states = [] }: { states?: readonly string[] }, { limit }: { limit: number }) {
      return [...documents.values()].filter(({ state }) => states.includes(state)).slice(0, limit)
    },
  } as unknown as KeptDocuments
  const responseOf = (id: string): JsonObject => JSON.parse(documents.get(id)?.json ?? '{}').response
  return { documents, kept, responseOf }
}

/** A client that remembers what it was told. */
class Client implements ClientPort {
  gone = false
  headSent = false
  onGone: (() => void) | null = null
  onDrain: (() => void) | null = null
  status = 0
  text = ''
  ended = false

  head(status: number): void {
    this.headSent = true
    this.status = status
  }
  write(bytes: Uint8Array | string): boolean {
    this.text += bytes.toString()
    return true
  }
  end(bytes: Uint8Array | string = ''): void {
    this.text += bytes.toString()
    this.ended = true
  }
}

/** One request in the background before a pipeline that lets it in and then does what the test says with the port it got. */
async function begin(
  fields: JsonObject,
  run: (port: ClientPort, stopped: Promise<void>, documents: Map<string, KeptDocument>) => Promise<void> | void,
) {
  const { documents, kept, responseOf } = memory()
  const client = new Client()
  const begun = Promise.withResolvers<ClientPort>()
  const errors: unknown[] = []
  const background = new BackgroundResponses({
    pipeline: {
      async serve(_codec, { detach }) {
        const request = requestOf({ background: true, ...fields })
        const port = await detach?.({ request, caller, model, admittedMs: ADMITTED_MS })
        assert.ok(port)
        const stopped = new Promise<void>(resolve => {
          port.onGone = resolve
        })
        begun.resolve(port)
        await run(port, stopped, documents)
      },
      runningRequest: () => ({ heldNanodollars: 1n, outputTokens: 1 }),
    },
    ...{ kept, keepMs: KEEP_MS, nowMs: () => ADMITTED_MS },
    onError: error => void errors.push(error),
  })
  const incoming = { client, surface: 'openai', headers: {}, requestId: 'req_X' } as unknown as Incoming
  const served = background.serve(CODEC, incoming)
  await begun.promise
  return { background, client, documents, responseOf, served, errors }
}

test('the client is answered at once, when what it is told of is kept', async () => {
  const gate = Promise.withResolvers<void>()
  const { background, client, responseOf, documents, served } = await begin({}, () => gate.promise)
  const told = JSON.parse(client.text)
  assert.deepEqual([client.status, client.ended, told.status, told.id], [200, true, 'queued', 'resp_X'])
  assert.deepEqual(responseOf('resp_X'), told)
  assert.equal(documents.get('resp_X')?.expiresMs, ADMITTED_MS + KEEP_MS)
  assert.equal(background.statusOf('resp_X'), 'in_progress')
  gate.resolve()
  await served
})

test('a whole answer that was kept with its settlement stays as it is', async () => {
  const { responseOf, served } = await begin({}, (port, _, documents) => {
    const document = documents.get('resp_X') as KeptDocument
    documents.set('resp_X', { ...document, state: 'completed', json: '{"response":{"status":"completed"}}' })
    port.head(200, {})
    port.end('{}')
  })
  await served
  assert.equal(responseOf('resp_X').status, 'completed')
})

test('what failed says why, whichever way it was answered', async () => {
  const error = JSON.stringify(new ApiError('upstream_timeout', 'Too late.').toOpenAi())
  const frame = `event: error\ndata: {"type":"error","code":"upstream_timeout","message":"Too late."}\n\nevent: response.failed\ndata: {}\n\n`
  for (const [fields, last, message] of [
    [{}, error, 'Too late.'],
    [{ stream: true }, frame, 'Too late.'],
    [{}, '', 'The response ended without an answer.'],
  ] as const) {
    const { responseOf, served } = await begin(fields, port => port.end(last))
    await served
    const { status, error: told } = responseOf('resp_X') as { status: string; error: JsonObject }
    assert.deepEqual([status, told], ['failed', { code: 'server_error', message }])
  }
})

test('a cancelled one has ended when the cancellation is answered; others cannot cancel it', async () => {
  const { background, responseOf, served } = await begin({}, async (port, stopped) => {
    await stopped
    port.end('{"error":{"code":"upstream_error","message":"stopped"}}')
  })
  await background.cancel('another org', 'resp_X')
  assert.equal(responseOf('resp_X').status, 'queued')
  await background.cancel('org', 'resp_X')
  assert.equal(responseOf('resp_X').status, 'cancelled')
  await served
  await background.idle()
})

test('a streamed one goes on without its client, and is told from the first event to who comes later', async () => {
  const [gate, later] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const { background, client, served } = await begin({ stream: true }, async port => {
    port.write('event: a\ndata: {}\n\n')
    await gate.promise
    port.write('event: b\ndata: {}\n\n')
    await later.promise
    port.end('event: c\ndata: {}\n\n')
  })
  client.onGone?.()
  gate.resolve()
  await new Promise(resolve => setImmediate(resolve))
  const seen = new Client()
  const stop = background.watch('org', 'resp_X', seen)
  assert.equal(typeof stop, 'function')
  later.resolve()
  await served
  const names = (text: string) => [...text.matchAll(/^event: (.*)$/gm)].map(([, name]) => name)
  assert.deepEqual(names(client.text), ['response.created', 'response.queued', 'a'])
  assert.deepEqual(names(seen.text), ['response.created', 'response.queued', 'a', 'b', 'c'])
  assert.deepEqual([client.ended, seen.ended], [false, true])
  assert.equal(background.watch('org', 'resp_X', seen), undefined)
})

test('one that is not streamed cannot be watched', async () => {
  const gate = Promise.withResolvers<void>()
  const { background, served } = await begin({}, () => gate.promise)
  assert.equal(background.watch('org', 'resp_X', new Client()), false)
  gate.resolve()
  await served
})

test('what ran when the server stopped has failed', async () => {
  const { documents, kept, responseOf } = memory()
  const document = (id: string, state: string) =>
    ({ id, state, json: JSON.stringify({ response: { id, status: state, output: [] }, input: [] }) }) as KeptDocument
  const states = ['queued', 'in_progress', 'completed']
  // More than are looked at in one go.
  for (let i = 0; i < 600; i++) documents.set(`r${i}`, document(`r${i}`, states[i % 3] as string))
  const background = new BackgroundResponses({
    pipeline: { serve: async () => undefined, runningRequest: () => undefined },
    ...{ kept, keepMs: KEEP_MS, nowMs: () => 0, onError: () => undefined },
  })
  assert.equal(await background.recover(), 400)
  assert.deepEqual(
    [responseOf('r0').status, responseOf('r1').status, responseOf('r2').status],
    ['failed', 'failed', 'completed'],
  )
  assert.equal(await background.recover(), 0)
})

test('so many run at a time, and so much was asked of all of them', async () => {
  const check = async (bounds: { runningMax?: number; askedCharsMax?: number }, most: number) => {
    const { kept } = memory()
    const gate = Promise.withResolvers<void>()
    const refused: unknown[] = []
    const background = new BackgroundResponses({
      pipeline: {
        async serve(_codec, { detach, requestId }) {
          const request = { ...requestOf({ background: true, input: 'x'.repeat(9000) }), id: requestId }
          try {
            await detach?.({ request, caller, model, admittedMs: ADMITTED_MS })
          } catch (error) {
            refused.push((error as ApiError).code)
            return
          }
          await gate.promise
        },
        runningRequest: () => undefined,
      },
      ...{ kept, keepMs: KEEP_MS, nowMs: () => ADMITTED_MS, onError: () => undefined, ...bounds },
    })
    const ask = (name: string) =>
      background.serve(CODEC, {
        ...{ client: new Client(), surface: 'openai', headers: {}, requestId: `req_${name}` },
      } as unknown as Incoming)
    const served = Array.from({ length: most + 3 }, (_, i) => ask(String(i)))
    await Promise.all(served.slice(most))
    assert.deepEqual(refused, Array(3).fill('engine_overloaded'))
    gate.resolve()
    await Promise.all(served)
    // All places are free again.
    await Promise.all(Array.from({ length: most }, (_, i) => ask(`again${i}`)))
    assert.equal(refused.length, 3)
  }
  await check({ runningMax: 4 }, 4)
  await check({ askedCharsMax: 30_000 }, 3)
  await check({}, 1000)
})

test('one that cannot be written down is refused, and takes no place', async () => {
  const { kept } = memory()
  const client = new Client()
  const refused: unknown[] = []
  const background = new BackgroundResponses({
    pipeline: {
      async serve(_codec, { detach }) {
        const admitted = { request: requestOf({ background: true }), caller, model, admittedMs: ADMITTED_MS }
        await detach?.(admitted).catch(error => refused.push(error.code))
      },
      runningRequest: () => undefined,
    },
    ...{ kept: { ...kept, put: () => Promise.reject(new Error('full')) }, keepMs: KEEP_MS, nowMs: () => 0 },
    onError: () => undefined,
  })
  await background.serve(CODEC, { client, surface: 'openai', headers: {} } as unknown as Incoming)
  assert.deepEqual([refused, client.text], [['settlement_unavailable'], ''])
  await background.idle()
})
