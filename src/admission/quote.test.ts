import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NO_PREFERENCES } from '../inference/preferences.ts'
import type { Model, Org } from '../inference/snapshot.ts'
import { holdFor } from '../pricing/ceiling.ts'
import { chargeOf } from '../pricing/worth.ts'
import { OPENAI_EMBEDDINGS } from '../protocols/openai-embeddings/codec.ts'
import { RERANK } from '../protocols/rerank/codec.ts'
import { decodeNow } from '../protocols/testing.ts'
import { quote } from './quote.ts'
import { saleOf } from './sale.ts'

const ORG: Org = { id: 'org', name: 'Org', disabled: false }

function modelWith(inputPicodollars: bigint, searchUnitPicodollars: bigint, contextTokens: number): Model {
  return {
    ...{ id: 'm', aliases: [], name: 'm', ownedBy: '', createdS: 0, license: '', targets: [] },
    ...{ contextTokens, outputTokensMax: contextTokens, trancheTokens: contextTokens },
    capabilities: {
      chat: false,
      completion: false,
      tools: false,
      reasoning: false,
      jsonSchema: false,
      logprobs: false,
    },
    prices: [
      {
        ...{ id: 'p', modelId: 'm', fromMs: 0, toMs: null, cachedInputPicodollars: 0n },
        ...{ inputPicodollars, outputPicodollars: 10n ** 9n, requestPicodollars: 0n, searchUnitPicodollars },
      },
    ],
  }
}

test('what is held for vectors and scores covers every charge that can come of them, and no output', () => {
  const rate = fc.bigInt({ min: 0n, max: 10n ** 10n })
  const texts = fc.array(fc.string({ maxLength: 3_000 }), { minLength: 1, maxLength: 120 })
  fc.assert(
    fc.property(
      rate,
      rate,
      fc.integer({ min: 1, max: 4_000 }),
      texts,
      fc.boolean(),
      (input, unit, context, all, ranks) => {
        const model = modelWith(input, unit, context)
        const request = ranks
          ? decodeNow(RERANK, { model: 'm', query: 'q', documents: all }, 'req_1')
          : decodeNow(OPENAI_EMBEDDINGS, { model: 'm', input: all }, 'req_1')
        const worst = quote(request, { ...saleOf(request, model, ORG, 0), model, preferences: NO_PREFERENCES }, true)
        assert.equal(worst.firstTrancheTokens, 0)
        assert.ok(worst.inputTokensBound <= context * all.length, 'no input is longer than a context')
        const counts = { cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 0, reasoningTokens: 0 }
        const used = { ...counts, inputTokens: worst.inputTokensBound, searchUnits: worst.searchUnits }
        const held = holdFor(worst.ceiling, worst.inputTokensBound, 0, worst.searchUnits)
        assert.ok(chargeOf(worst.price, used, 0, 'standard') <= held)
        assert.equal(worst.searchUnits > 0, ranks)
      },
    ),
  )
})
