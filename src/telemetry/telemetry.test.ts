import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { USAGE_ABSENT } from '../inference/usage.ts'
import type { Settlement } from '../ledger/journal.ts'
import { PrometheusTelemetry } from './telemetry.ts'

const SETTLED: Settlement = {
  requestId: 'req_1',
  orgId: 'org_1',
  keyId: 'key_1',
  modelId: 'm',
  protocol: 'openai-chat',
  stream: false,
  upstreamId: 'u',
  attempts: 1,
  ending: 'completed',
  serviceTier: 'standard',
  endUserId: null,
  usage: { ...USAGE_ABSENT, inputTokens: 10, cachedInputTokens: 4, outputTokens: 3 },
  priceId: 'price_1',
  chargeNanodollars: 250_000_000n,
  overrunNanodollars: 0n,
  costNanodollars: null,
  heldNanodollars: 300_000_000n,
  admittedMs: 0,
  settledMs: 5,
  ttftMs: 3,
  durationMs: 5,
}

test('what was counted is in what is scraped, once, however often it is scraped', async () => {
  const telemetry = new PrometheusTelemetry(pino({ level: 'silent' }), {
    running: () => 2,
    openHolds: () => 1,
    overrunDollars: () => 0.5,
  })
  telemetry.admitted('m')
  telemetry.settled(SETTLED)
  await telemetry.exposition()
  telemetry.admitted('m')
  telemetry.settled({ ...SETTLED, ending: 'cancelled' })
  telemetry.refused('invalid_api_key', 'req_2', new Error('no'))
  for (const outcome of ['delivered', 'retried', 'delivered'] as const) telemetry.webhook(outcome, {})
  await telemetry.exposition()
  const { body } = await telemetry.exposition()
  const lines = new Set(body.split('\n'))
  for (const line of [
    'headrace_requests_admitted_total{model="m"} 2',
    'headrace_requests_settled_total{model="m",ending="completed"} 1',
    'headrace_requests_settled_total{model="m",ending="cancelled"} 1',
    'headrace_requests_refused_total{code="invalid_api_key"} 1',
    'gen_ai_client_token_usage_total{model="m",class="input"} 20',
    'gen_ai_client_token_usage_total{model="m",class="cached_input"} 8',
    'gen_ai_client_token_usage_total{model="m",class="output"} 6',
    'headrace_charged_dollars_total{model="m"} 0.5',
    'gen_ai_server_time_to_first_token_seconds_count{model="m"} 2',
    'headrace_webhook_deliveries_total{outcome="delivered"} 2',
    'headrace_webhook_deliveries_total{outcome="retried"} 1',
    'headrace_requests_running 2',
    'headrace_holds_open 1',
    'headrace_overrun_dollars 0.5',
  ]) {
    assert.ok(lines.has(line), `${line} is missing in\n${body}`)
  }
})
