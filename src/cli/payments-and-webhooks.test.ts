import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PaymentsPort, WebhooksPort } from '../control/ports.ts'
import { checkGolden, createCli, NOW_MS } from './testing.ts'

const URL_A = 'https://hooks.example/headrace'

const PAYMENTS: PaymentsPort = {
  checkout: async ({ amountNanodollars, pack }) => ({
    id: 'cs_1',
    url: `https://pay.example/${pack ?? amountNanodollars}`,
    amountNanodollars: 25_000_000_000n,
    bonusNanodollars: 0n,
    expiresMs: NOW_MS,
  }),
  list: async () => [
    {
      id: 'acme:evt_2',
      type: 'charge.refunded',
      kind: 'ignored',
      reason: 'refunds are not booked by themselves',
      orgId: 'org_1',
      paymentId: 'pi_1',
      amountNanodollars: 10_000_000_000n,
      atMs: NOW_MS,
    },
    {
      id: 'acme:evt_1',
      type: 'checkout.completed',
      kind: 'credited',
      reason: '',
      orgId: 'org_1',
      paymentId: 'pi_1',
      amountNanodollars: 25_000_000_000n,
      atMs: NOW_MS,
    },
  ],
}
const WEBHOOKS: WebhooksPort = {
  endpoints: async () => [{ url: URL_A, events: ['credit.low', 'overrun'], pending: 2 }],
  deliveries: async () => [
    {
      seq: 7,
      id: 'msg_7',
      endpoint: URL_A,
      type: 'credit.low',
      body: '{}',
      state: 'failed',
      tries: 13,
      createdMs: NOW_MS,
      nextMs: NOW_MS,
      triedMs: NOW_MS,
      outcome: 'no answer within 15000 ms',
    },
  ],
  test: async () => ({ id: 'msg_8', urls: [URL_A] }),
  retry: async () => 1,
}

/** One command line and everything that it prints. */
function check(name: string, line: string, code = 0, ports = { payments: PAYMENTS, webhooks: WEBHOOKS }) {
  test(`headrace ${line} (${name})`, async () => {
    const cli = await createCli(ports)
    await cli.harness.client.createOrg({ name: 'default' })
    const outcome = await cli.run(line)
    checkGolden(
      name,
      `$ headrace ${line}\n${outcome.out}${outcome.err === '' ? '' : `--- stderr\n${outcome.err}`}--- exit ${outcome.code}\n`,
    )
    assert.equal(outcome.code, code)
  })
}

const NOTHING = {
  payments: { list: async () => [] },
  webhooks: { ...WEBHOOKS, endpoints: async () => [], deliveries: async () => [], retry: async () => 0 },
}

check('credit-checkout', 'credit checkout 25.00')
check('credit-checkout-pack', 'credit checkout medium --json')
check('credit-checkout-nonsense', 'credit checkout -- -5', 2)
check('credit-checkout-unconfigured', 'credit checkout 25.00', 1, NOTHING)
check('credit-payments', 'credit payments')
check('credit-payments-none', 'credit payments', 0, NOTHING)
check('webhooks-list', 'webhooks list')
check('webhooks-list-none', 'webhooks list', 0, NOTHING)
check('webhooks-deliveries', 'webhooks deliveries --state failed')
check('webhooks-deliveries-none', 'webhooks deliveries', 0, NOTHING)
check('webhooks-test', 'webhooks test')
check('webhooks-retry', 'webhooks retry msg_7')
check('webhooks-retry-none', 'webhooks retry', 0, NOTHING)
check('help-webhooks', 'webhooks --help')
