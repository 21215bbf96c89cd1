import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ApiError } from '../errors.ts'
import { NO_PREFERENCES, type Preferences } from '../inference/preferences.ts'
import type { InferenceRequest } from '../inference/request.ts'
import type { Model, Org, Price, Snapshot } from '../inference/snapshot.ts'
import { Books } from '../ledger/books.ts'
import { admitAny, type Bid } from './admit.ts'
import type { Caller } from './authenticate.ts'
import { offersOf } from './offers.ts'
import { quote } from './quote.ts'

const ORG: Org = { id: 'org', name: 'Org', disabled: false }
const CALLER = { org: ORG, key: { id: 'key', capNanodollars: null } } as unknown as Caller
const CHAT = { chat: true, completion: false, tools: false, reasoning: false, jsonSchema: true, logprobs: false }

function modelOf(id: string, inputPicodollars: bigint | null, fields: Partial<Model> = {}): Model {
  const price: Price = {
    ...{ id: `${id}-price`, modelId: id, fromMs: 0, toMs: null, requestPicodollars: 1000n },
    ...{ inputPicodollars: inputPicodollars ?? 0n, cachedInputPicodollars: 0n, outputPicodollars: 10n * 1000n },
  }
  return {
    ...{ id, aliases: [], name: id, ownedBy: 'nobody', createdS: 0, license: 'none', capabilities: CHAT, targets: [] },
    ...{ contextTokens: 1000, outputTokensMax: 100, trancheTokens: 50 },
    prices: inputPicodollars === null ? [] : [price],
    ...fields,
  }
}

const CHEAP = modelOf('cheap', 1000n)
const DEAR = modelOf('dear', 9000n, { capabilities: { ...CHAT, reasoning: true } })
const UNPRICED = modelOf('unpriced', null)
const LITERAL = modelOf('literal:nitro', 1n)
const SNAPSHOT = {
  models: new Map([CHEAP, DEAR, UNPRICED, LITERAL].map(model => [model.id, model])).set('alias', CHEAP),
  modelPrefixes: [
    { prefix: 'other-long', model: DEAR },
    { prefix: 'other-', model: CHEAP },
  ],
} as unknown as Snapshot

function requestOf(model: string, fields: Partial<InferenceRequest> = {}): InferenceRequest {
  return {
    ...{ id: 'req_1', protocol: 'openai-chat', model, stream: false, includeUsage: true, n: 1, body: {} },
    input: { kind: 'chat', messages: [], tools: [], toolChoice: 'none', responseFormat: { type: 'text' } },
    ...{ sampling: { stop: [] }, inputTokensBound: 100 },
    ...fields,
  } as InferenceRequest
}

function check(request: InferenceRequest, expected: string[] | [code: string, param: string | null]): void {
  let found: unknown[]
  try {
    found = offersOf(request, SNAPSHOT, CALLER, 0).map(({ model, preferences }) =>
      preferences.sort === undefined ? model.id : `${model.id} by ${preferences.sort}`,
    )
  } catch (error) {
    found = [(error as ApiError).code, (error as ApiError).param]
  }
  assert.deepEqual(found, expected)
}

const preferring = (wishes: Partial<Preferences>) => ({ preferences: { ...NO_PREFERENCES, ...wishes } })

test('a model goes by its id, an alias, or the longest alias with a star', () => {
  check(requestOf('cheap'), ['cheap'])
  check(requestOf('alias'), ['cheap'])
  check(requestOf('other-1'), ['cheap'])
  check(requestOf('other-longer'), ['dear'])
  check(requestOf('another'), ['model_not_found', 'model'])
})

test('an ending of the name asks for an order, unless a model is called so', () => {
  check(requestOf('cheap:nitro'), ['cheap by throughput'])
  check(requestOf('other-long:floor'), ['dear by price'])
  check(requestOf('literal:nitro'), ['literal:nitro'])
  check(requestOf('cheap:online'), ['model_not_found', 'model'])
  check(requestOf('other-1:free'), ['model_not_found', 'model'])
  check(requestOf('other-1:latest'), ['cheap'])
  assert.throws(
    () => offersOf(requestOf('cheap:online'), SNAPSHOT, CALLER, 0),
    /"cheap" is, by itself and with :nitro or :floor/,
  )
})

test('of several models those that cannot serve are passed over, and without any the first says why', () => {
  check(requestOf('nobody', { fallbackModels: ['unpriced', 'dear', 'cheap', 'alias'] }), ['dear', 'cheap'])
  check(requestOf('unpriced', { fallbackModels: ['nobody'] }), ['model_price_missing', null])
})

test('a model that costs more than allowed is out of the question', () => {
  const maxPrice = (input: bigint) => preferring({ maxPrice: { inputPicodollars: input } })
  check(requestOf('dear', maxPrice(9000n)), ['dear'])
  check(requestOf('dear', maxPrice(8999n)), ['no_matching_upstream', 'provider.max_price.prompt'])
  check(requestOf('dear', { fallbackModels: ['cheap'], ...maxPrice(8999n) }), ['cheap'])
  check(requestOf('cheap', preferring({ maxPrice: { requestPicodollars: 999n } })), [
    'no_matching_upstream',
    'provider.max_price.request',
  ])
})

test('a step that the input may reach counts for what a model costs', () => {
  const [price] = CHEAP.prices as [Price]
  const terms = {
    windows: [],
    steps: [{ fromInputTokens: 50, multiplier: { numerator: 2n, denominator: 1n } }],
    tiers: {},
  }
  const stepped = { ...CHEAP, prices: [{ ...price, terms }] }
  const snapshot = { models: new Map([['cheap', stepped]]) } as unknown as Snapshot
  const offers = (inputTokensBound: number) =>
    offersOf(
      requestOf('cheap', { inputTokensBound, ...preferring({ maxPrice: { inputPicodollars: 1999n } }) }),
      snapshot,
      CALLER,
      0,
    )
  assert.equal(offers(49).length, 1)
  assert.throws(() => offers(50), /can cost \$0.002 per million/)
})

test('who wants all parameters heard is refused what the model does not know', () => {
  const { input } = requestOf('cheap')
  const thinking = { input: { ...input, reasoningEffort: 'high' } as InferenceRequest['input'] }
  check(requestOf('cheap', thinking), ['cheap'])
  check(requestOf('cheap', { ...thinking, ...preferring({ allParameters: true }) }), [
    'unsupported_parameter',
    'reasoning',
  ])
  check(requestOf('dear', { ...thinking, ...preferring({ allParameters: true }) }), ['dear'])
})

test('a model that the key or the token is not for is passed over, or refused by name', () => {
  const caller = { ...CALLER, key: { ...CALLER.key, models: ['dear'] } }
  const ids = (model: string, ...fallbackModels: string[]) =>
    offersOf(requestOf(model, { ...(fallbackModels.length > 0 && { fallbackModels }) }), SNAPSHOT, caller, 0).map(
      offer => offer.model.id,
    )
  assert.deepEqual(ids('dear'), ['dear'])
  assert.deepEqual(ids('cheap', 'dear'), ['dear'])
  assert.deepEqual(ids('dear', 'alias'), ['dear'])
  assert.throws(() => ids('cheap'), { code: 'model_not_allowed' })
  assert.throws(() => ids('cheap', 'alias'), { code: 'model_not_allowed' })
  assert.throws(() => ids('other-thing'), { code: 'model_not_allowed' })
})

const HUGE = 10n ** 12n

function booksOf(creditNanodollars: bigint): Books {
  return new Books(
    { admitted() {}, voided() {}, settle: async () => {} },
    { balances: new Map([['org', creditNanodollars]]), spent: new Map() },
  )
}

function bidsOf(...models: Model[]): Bid[] {
  const request = requestOf('cheap', { fallbackModels: models.map(model => model.id) })
  return models.map(model => {
    const offer = offersOf({ ...request, model: model.id, fallbackModels: undefined }, SNAPSHOT, CALLER, 0)[0]
    return { quote: quote(request, offer as NonNullable<typeof offer>, true) }
  })
}

const held = (input: bigint, tokens: bigint, output: bigint) => (input * tokens + output * 10_000n + 1000n) / 1000n

test('the hold covers the dearest model, and falls as models drop out', () => {
  const ticket = admitAny(CALLER, bidsOf(CHEAP, DEAR), 'req_1', booksOf(HUGE))
  assert.equal(ticket.hold.amountNanodollars, held(9000n, 100n, 50n))
  assert.deepEqual([ticket.quote.model.id, ticket.following.map(each => each.model.id)], ['cheap', ['dear']])
  // Another model may count more tokens, so nothing goes back yet.
  ticket.inputIs(40)
  assert.equal(ticket.hold.amountNanodollars, held(9000n, 100n, 50n))
  ticket.commit()
  assert.equal(ticket.hold.amountNanodollars, held(1000n, 40n, 50n))
})

test('the model that takes over is quoted anew, with a count of its own', () => {
  const ticket = admitAny(CALLER, bidsOf(DEAR, CHEAP), 'req_1', booksOf(HUGE))
  ticket.inputIs(40)
  ticket.next()
  assert.equal(ticket.quote.price.id, 'cheap-price')
  assert.equal(ticket.hold.amountNanodollars, held(1000n, 100n, 50n))
  ticket.inputIs(60)
  assert.equal(ticket.hold.amountNanodollars, held(1000n, 60n, 50n))
})

test('a model that cannot be paid beside those before it does not serve', () => {
  const names = (credit: bigint, ...models: Model[]) => {
    const books = booksOf(credit)
    const ticket = admitAny(CALLER, bidsOf(...models), 'req_1', books)
    assert.equal(books.openHolds, 1)
    return [ticket.quote, ...ticket.following].map(each => each.model.id)
  }
  const enoughForCheap = held(1000n, 100n, 50n)
  assert.deepEqual(names(enoughForCheap, CHEAP, DEAR), ['cheap'])
  assert.deepEqual(names(enoughForCheap, DEAR, CHEAP), ['cheap'])
  assert.throws(
    () => names(1n, DEAR, CHEAP),
    (error: ApiError) => error.code === 'insufficient_balance',
  )
})

test('an answer is not cut short for the price of a model that does not serve it', () => {
  // Enough for the dearest tranche, and for 30 tokens more of the cheap model but not of the dear one.
  const books = booksOf(held(9000n, 100n, 50n))
  const ticket = admitAny(CALLER, bidsOf(CHEAP, DEAR), 'req_1', books)
  assert.equal(ticket.cover(50, 50), true)
  assert.equal(ticket.following.length, 1)
  assert.equal(ticket.cover(80, 50), true)
  assert.deepEqual(ticket.following, [])
  assert.equal(ticket.cover(10_000, 50), false)
})

test('a request counts under the limits of the model that served it alone', () => {
  const books = booksOf(HUGE)
  const limitOf = (id: string) =>
    ({ id, measure: 'requests', amount: 1n, window: 'ever', hard: true, notifyPercents: [] }) as const
  const bids = () =>
    bidsOf(CHEAP, DEAR).map(bid => {
      const limited = { limits: [limitOf(bid.quote.model.id)], atMs: 0, inputTokens: 1, outputTokens: 1 }
      return { ...bid, limited }
    })
  const used = (id: string) => books.limitUsed(limitOf(id), 0)
  const first = admitAny(CALLER, bids(), 'req_1', books)
  assert.deepEqual([used('cheap').held, used('dear').held], [1n, 1n])
  first.next()
  assert.deepEqual([used('cheap').held, used('dear').held], [0n, 1n])
  // The other model is at its limit: whoever names both gets the one that is not.
  const second = admitAny(CALLER, bids().reverse(), 'req_2', books)
  assert.deepEqual([second.quote.model.id, second.following], ['cheap', []])
  books.void(first.hold)
  books.void(second.hold)
  assert.deepEqual([used('cheap').held, used('dear').held], [0n, 0n])
})
