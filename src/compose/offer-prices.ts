import { type PriceSetting, tariffOfSetting } from '../config/price-setting.ts'
import { priceHistory } from '../control/snapshot-builder.ts'
import type { Tariff } from '../inference/price.ts'
import type { Price } from '../inference/snapshot.ts'
import { sameTariff } from '../pricing/document.ts'
import { overCost } from '../pricing/margin.ts'
import { createIdMaker } from '../std/request-id.ts'
import type { HeadraceStore } from './foundation.ts'

/** How the ids of prices begin that came from a file and not from the operator's hand. */
const OFFERED_PRICE = 'price_file_'

/** Sets a price that a file names, from now on, where it is not the one that was set from a file before. */
export async function offerPrice(
  store: HeadraceStore,
  prices: readonly Price[],
  modelId: string,
  offered: PriceSetting,
  nowMs: number,
): Promise<void> {
  const tariff = tariffOfSetting(offered)
  // Compared with what was offered before, and not with the price in force: an operator who has set another since keeps it.
  const before = prices.filter(each => each.modelId === modelId && each.id.startsWith(OFFERED_PRICE)).at(-1)
  if (before !== undefined && sameTariff(before, tariff)) return
  const id = createIdMaker(() => nowMs)(OFFERED_PRICE)
  await store.setPrice({ id, modelId, fromMs: nowMs, toMs: null, ...tariff })
}

/**
 * Prices that were made of what an upstream takes are made again when it takes something else, each for the rest of its time. What
 * was charged by those before stays explicable, since every row is whole in itself.
 */
export async function followCost(
  store: HeadraceStore,
  prices: readonly Price[],
  modelId: string,
  upstreamId: string,
  cost: Tariff,
  nowMs: number,
): Promise<void> {
  const newId = createIdMaker(() => nowMs)
  const groups = Map.groupBy(
    prices.filter(price => price.modelId === modelId),
    price => price.group ?? null,
  )
  const renewed = [...groups.values()].flatMap(priceHistory).flatMap(price => {
    const margin = price.terms?.margin
    if (margin?.upstreamId !== upstreamId || (price.toMs !== null && price.toMs <= nowMs)) return []
    const tariff = overCost(cost, upstreamId, margin.multiplier)
    if (sameTariff(price, tariff)) return []
    const { group, fromMs, toMs } = price
    return [
      {
        id: newId('price_cost_'),
        modelId,
        ...(group != null && { group }),
        fromMs: Math.max(fromMs, nowMs),
        toMs,
        ...tariff,
      },
    ]
  })
  if (renewed.length > 0) await store.setPrices(renewed)
}
