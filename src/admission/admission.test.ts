import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ApiError } from '../errors.ts'
import { API_KEY_BODY_LENGTH, API_KEY_PREFIX, apiKeyChecksum, hashSecret } from '../inference/api-key-format.ts'
import { NO_PREFERENCES } from '../inference/preferences.ts'
import type { InferenceRequest } from '../inference/request.ts'
import type { ServiceTier } from '../inference/service-tier.ts'
import type { ApiKey, Model, Price, Snapshot } from '../inference/snapshot.ts'
import { Books } from '../ledger/books.ts'
import { ceilingOf, holdFor } from '../pricing/ceiling.ts'
import { parseRatio } from '../pricing/ratio.ts'
import { admit } from './admit.ts'
import { authenticate, type Caller } from './authenticate.ts'
import { KeyHasher } from './key-hasher.ts'
import type { Offer } from './offers.ts'
import { quote } from './quote.ts'
import { asSold, type Sale, saleOf } from './sale.ts'

const PEPPER = Buffer.from('pepper')
const PRICE: Price = {
  id: 'p',
  modelId: 'm',
  fromMs: 0,
  toMs: null,
  inputPicodollars: 1000n,
  cachedInputPicodollars: 100n,
  outputPicodollars: 2000n,
  requestPicodollars: 0n,
}
const SALE: Sale = { price: PRICE, tier: 'standard', admittedMs: 0 }
const CEILING = ceilingOf(PRICE, 0, 0, 'standard')
const MODEL = { contextTokens: 4096, outputTokensMax: 4096, trancheTokens: 2048 } as Model

const OFFER: Offer = { ...SALE, model: MODEL, preferences: NO_PREFERENCES }

function request(fields: Partial<InferenceRequest>): InferenceRequest {
  return { id: 'r', n: 1, inputTokensBound: 100, input: { kind: 'chat' }, ...fields } as InferenceRequest
}

function secretOf(digit: string): string {
  const body = digit.repeat(API_KEY_BODY_LENGTH)
  return API_KEY_PREFIX + body + apiKeyChecksum(body)
}

function booksOf(credit: bigint): Books {
  return new Books(
    { admitted() {}, voided() {}, settle: async () => {} },
    { balances: new Map([['o', credit]]), spent: new Map() },
  )
}

function callerWith(cap: bigint | null): Caller {
  return { org: { id: 'o', name: 'Org', disabled: false }, key: { id: 'k', capNanodollars: cap } as ApiKey }
}

test('a key is found in any of the headers that clients use, and only a valid one', () => {
  const secret = secretOf('7')
  const keyWith = (fields: Partial<ApiKey>): Snapshot => {
    const key = {
      id: 'k',
      orgId: 'o',
      name: 'laptop',
      hash: hashSecret(PEPPER, secret),
      revokedMs: null,
      projectId: null,
      expiresMs: null,
      ...fields,
    } as ApiKey
    return {
      orgs: new Map([
        ['o', { id: 'o', name: 'Org', disabled: false }],
        ['off', { id: 'off', name: 'Off', disabled: true }],
      ]),
      keysByHash: new Map([[key.hash, key]]),
      projects: new Map(),
      limits: new Map(),
      limitsByKey: new Map(),
    } as unknown as Snapshot
  }
  const check = (headers: Record<string, string>, expected: string, fields: Partial<ApiKey> = {}) => {
    try {
      assert.equal(authenticate(headers, keyWith(fields), new KeyHasher(PEPPER), 1000).key.id, expected)
    } catch (error) {
      assert.equal((error as ApiError).code, expected)
    }
  }
  check({ authorization: `Bearer ${secret}` }, 'k')
  check({ authorization: `bearer  ${secret} ` }, 'k')
  check({ 'x-api-key': secret }, 'k')
  check({ 'xi-api-key': secret }, 'k')
  check({ 'api-key': secret }, 'k')
  check({}, 'invalid_api_key')
  check({ authorization: 'Bearer sk-hr-short' }, 'invalid_api_key')
  check({ authorization: `Basic ${secret}` }, 'invalid_api_key')
  check({ authorization: `Bearer ${secretOf('9')}` }, 'invalid_api_key')
  check({ authorization: `Bearer ${secret}` }, 'revoked_api_key', { revokedMs: 999 })
  check({ authorization: `Bearer ${secret}` }, 'revoked_api_key', { expiresMs: 1000 })
  check({ authorization: `Bearer ${secret}` }, 'org_disabled', { orgId: 'off' })
})

test('a quote bounds input by bytes and context, and output by wish and model; n multiplies output only', () => {
  const check = (
    fields: Partial<InferenceRequest>,
    expected: Partial<ReturnType<typeof quote>>,
    stoppable = true,
    inputTokens?: number,
  ) => {
    const found = quote(request(fields), OFFER, stoppable, inputTokens)
    assert.deepEqual({ ...found, ...expected }, found)
  }
  check(
    {},
    { inputTokensBound: 100, outputTokensMax: 4096, firstTrancheTokens: 2048, floorTrancheTokens: 1024, choices: 1 },
  )
  check({ inputTokensBound: 1e9 }, { inputTokensBound: 4096 })
  check({ outputTokensMax: 7 }, { outputTokensMax: 7, firstTrancheTokens: 7, floorTrancheTokens: 7 })
  check({ outputTokensMax: 1e6 }, { outputTokensMax: 4096 })
  check({ n: 3 }, { choices: 3, inputTokensBound: 100 })
  check(
    { n: 2, input: { kind: 'text', prompts: ['a', 'b'], echo: false }, inputTokensBound: 1e9 },
    { choices: 4, inputTokensBound: 8192 },
  )
  check({}, { firstTrancheTokens: 4096, floorTrancheTokens: 4096 }, false)
  check({}, { inputTokensBound: 12 }, true, 12)
})

test('admission holds the first tranche, else the floor, else refuses with the reason and both numbers', () => {
  const full = holdFor(CEILING, 100, 2048)
  const floor = holdFor(CEILING, 100, 1024)
  const check = (credit: bigint, cap: bigint | null, held: bigint, expected: bigint | string) => {
    const books = booksOf(credit)
    if (held > 0n)
      books.hold({
        requestId: 'other',
        orgId: 'o',
        budgets: [{ id: 'key:k', limitNanodollars: cap }],
        amountNanodollars: held,
      })
    try {
      assert.equal(admit(callerWith(cap), quote(request({}), OFFER, true), 'r', books).hold.amountNanodollars, expected)
    } catch (error) {
      assert.ok(error instanceof ApiError, String(error))
      assert.equal(error.code, expected)
      assert.equal(error.status, 402)
      assert.match(error.message, /up to \$0\.0000021\d*; \$0\.0/)
    }
    assert.equal(books.openHolds, (held > 0n ? 1 : 0) + (typeof expected === 'bigint' ? 1 : 0))
  }
  check(full, null, 0n, full)
  check(full - 1n, null, 0n, floor)
  check(floor - 1n, null, 0n, 'insufficient_balance')
  check(full, null, full - 1n, 'balance_held')
  check(full, floor - 1n, 0n, 'key_cap_exceeded')
  check(10n * full, full, full - 1n, 'balance_held')
})

test('cover extends by a tranche, by less near the end of the money, and not beyond', () => {
  const books = booksOf(holdFor(CEILING, 100, 3000))
  const ticket = admit(callerWith(null), quote(request({}), OFFER, true), 'r', books)
  assert.equal(ticket.outputTokensCovered, 2048)
  assert.equal(ticket.cover(2048, 2048), true)
  assert.equal(ticket.cover(2049, 2048), true)
  assert.ok(ticket.outputTokensCovered > 2049 && ticket.outputTokensCovered <= 3000)
  while (ticket.cover(ticket.outputTokensCovered + 1, 2048));
  assert.equal(ticket.outputTokensCovered, 3000, 'every token that can be paid is covered')
  ticket.inputIs(40)
  assert.equal(ticket.hold.amountNanodollars, holdFor(CEILING, 40, 3000), 'exact input gives the rest back')
  assert.equal(ticket.cover(3001, 2048), true, 'which pays for more output')
})

test('a tier is sold where the price has it, and standard in place of any other', () => {
  const tiers = { priority: parseRatio('2'), batch: parseRatio('0.5') }
  const sold: Price = { ...PRICE, terms: { windows: [], steps: [], tiers } }
  const org = { id: 'o', name: 'Org', disabled: false }
  const tierAt = (price: Price, serviceTier?: string) =>
    saleOf(request({ serviceTier }), { ...MODEL, id: 'm', prices: [price] }, org, 5).tier
  for (const word of [undefined, 'auto', 'default', 'standard']) assert.equal(tierAt(PRICE, word), 'standard')
  assert.equal(tierAt(sold, 'priority'), 'priority')
  assert.equal(tierAt(sold, 'fast'), 'priority')
  assert.equal(tierAt(PRICE, 'flex'), 'standard')
  for (const word of ['flex', 'batch', 'toString', '']) assert.equal(tierAt(sold, word), 'standard')
})

test('an upstream is told of a tier only where it is sold', () => {
  const body = { model: 'm', service_tier: 'x', other: 1 }
  const check = (word: string | undefined, tier: ServiceTier, passedOn: boolean) => {
    const asked = request({ body, ...(word !== undefined && { serviceTier: word }) })
    assert.deepEqual(asSold(asked, { ...SALE, tier }).body, passedOn ? body : { model: 'm', other: 1 })
  }
  check(undefined, 'standard', true)
  check('auto', 'standard', true)
  check('default', 'standard', true)
  check('priority', 'priority', true)
  check('fast', 'priority', true)
  check('priority', 'standard', false)
  check('flex', 'standard', false)
  check('toString', 'standard', false)
  check('priority', 'batch', false)
})

test('an org pays the price of its group, else the one for everybody, and nothing is sold without one', () => {
  const prices = [
    { ...PRICE, id: 'all' },
    { ...PRICE, id: 'partners', group: 'partners', fromMs: 10 },
  ]
  const priceOf = (priceGroup: string | null, nowMs: number) => {
    const org = { id: 'o', name: 'Org', disabled: false, priceGroup }
    return saleOf(request({}), { ...MODEL, id: 'm', prices }, org, nowMs).price.id
  }
  assert.deepEqual(
    [priceOf(null, 10), priceOf('partners', 9), priceOf('partners', 10), priceOf('others', 10)],
    ['all', 'all', 'partners', 'all'],
  )
  assert.throws(() => priceOf(null, -1), { code: 'model_price_missing' })
})

test('an exact input puts the context steps beyond it out of reach, and gives back what was held for them', () => {
  const dear = { ...PRICE, inputPicodollars: 9_000n, cachedInputPicodollars: 9_000n, outputPicodollars: 9_000n }
  const steps = [{ fromInputTokens: 50, rates: dear }]
  const sale: Sale = { ...SALE, price: { ...PRICE, terms: { windows: [], steps, tiers: {} } } }
  const ticket = admit(callerWith(null), quote(request({}), { ...OFFER, ...sale }, true), 'r', booksOf(10n ** 9n))
  assert.equal(ticket.hold.amountNanodollars, (100n + 2048n) * 9n)
  ticket.inputIs(60)
  assert.equal(ticket.hold.amountNanodollars, (60n + 2048n) * 9n)
  ticket.inputIs(49)
  assert.equal(ticket.hold.amountNanodollars, holdFor(CEILING, 49, 2048))
})
