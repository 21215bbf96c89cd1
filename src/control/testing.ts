import assert from 'node:assert/strict'
import { USAGE_ABSENT } from '../inference/usage.ts'
import { Books } from '../ledger/books.ts'
import type { Journal, Settlement } from '../ledger/journal.ts'
import type { BillingDetails } from '../statements/invoice.ts'
import { createControlApp } from './app.ts'
import { createControlClient } from './client.ts'
import { FakeStore } from './fake-store.ts'
import type { ControlDeps, ControlStore, PaymentsPort, RuntimeStatus, WebhooksPort } from './ports.ts'
import { createPublisher } from './publisher.ts'

export const NOW_MS = Date.UTC(2026, 0, 31, 12)
export const NOW = '2026-01-31T12:00:00.000Z'
export const OPERATOR_TOKEN = 'hr-op-for-tests-only-0123456789abcdef'

const JOURNAL: Journal = { admitted() {}, voided() {}, async settle() {} }

/** A control plane over a store in memory, with books as a running server has them. */
export async function createHarness(
  options: {
    offline?: boolean
    store?: ControlStore
    billing?: BillingDetails
    payments?: PaymentsPort
    webhooks?: WebhooksPort
  } = {},
) {
  const fake = new FakeStore()
  const store: ControlStore = options.store ?? fake
  const state = await store.loadState()
  const spent = new Map([...state.spent].map(([keyId, amount]) => [`key:${keyId}`, amount]))
  const books = new Books(JOURNAL, { balances: state.balances, spent })
  const publisher = await createPublisher(() => store.loadState())
  const status: RuntimeStatus = {
    version: '0.1.0',
    startedMs: NOW_MS - 90_000,
    listening: ['http://127.0.0.1:8080'],
    upstreams: [
      { id: 'engine', kind: 'engine', state: 'ready', downModels: [], detail: '', running: 1, queued: 2 },
      {
        id: 'broken',
        kind: 'http',
        state: 'failed',
        downModels: ['m', 'large'],
        detail: 'connection refused',
        running: 0,
        queued: 0,
      },
    ],
    journal: { healthy: true, detail: '' },
  }
  const errors: unknown[] = []
  let counter = 0
  const deps: ControlDeps = {
    store,
    books: options.offline === true ? undefined : books,
    payments: options.payments,
    webhooks: options.webhooks,
    snapshot: publisher.current,
    publish: publisher.publish,
    status: () => (options.offline === true ? { ...status, listening: [], upstreams: [] } : status),
    clock: { nowMs: () => NOW_MS },
    // Predictable and never the same twice.
    randomBytes: byteCount => new Uint8Array(byteCount).fill(++counter),
    pepper: Buffer.from('pepper'),
    operatorToken: OPERATOR_TOKEN,
    billing: options.billing,
    onError: error => errors.push(error),
  }
  const app = createControlApp(deps)
  const client = createControlClient(request => app.fetch(request), OPERATOR_TOKEN)

  /** Sends a request as written, and expects an error. */
  async function refused(
    line: string,
    body: unknown,
    status: number,
    code: string,
    message: RegExp,
    param: string | null = null,
  ) {
    const [method, path] = line.split(' ') as [string, string]
    const response = await send(method, path, body)
    const answer = (await response.json()) as {
      error: { message: string; type: string; param: string | null; code: string }
    }
    assert.deepEqual(
      [response.status, answer.error.code, answer.error.param],
      [status, code, param],
      answer.error.message,
    )
    assert.match(answer.error.message, message)
    assert.equal(response.headers.get('x-should-retry'), 'false')
    return response
  }

  function send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
    const all: Record<string, string> = { authorization: `Bearer ${OPERATOR_TOKEN}`, ...headers }
    if (body !== undefined) all['content-type'] ??= 'application/json'
    return app.fetch(new Request(`http://127.0.0.1/control/v1${path}`, { method, headers: all, body: text }))
  }

  return { app, client, fake, books, deps, errors, publisher, refused, send }
}

/** A settled request; what a test cares about is given, the rest is the same for all. */
export function settlement(parts: Partial<Settlement> = {}): Settlement {
  return {
    requestId: 'req_1',
    orgId: 'org_1',
    keyId: 'key_1',
    modelId: 'acme/small',
    protocol: 'openai-chat',
    stream: true,
    upstreamId: 'engine',
    attempts: 1,
    ending: 'completed',
    serviceTier: 'standard',
    endUserId: null,
    usage: USAGE_ABSENT,
    priceId: 'price_1',
    costNanodollars: null,
    chargeNanodollars: 0n,
    overrunNanodollars: 0n,
    heldNanodollars: 1_000_000n,
    admittedMs: NOW_MS - 2_000,
    settledMs: NOW_MS - 1_000,
    ttftMs: 120,
    durationMs: 1_000,
    ...parts,
  }
}
