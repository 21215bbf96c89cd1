import type { Change, PriceStep, PriceWindow, Rates, Ratio, Tariff } from '../inference/price.ts'

/**
 * A tariff as customers are shown it: the margin is multiplied into the rates, so that neither it nor the upstream can be read off.
 * What is finer than 1 picodollar per token is rounded up, for show only; the charge is worked out from the exact fraction.
 */
export function shownTariff(tariff: Tariff): Tariff {
  const { terms } = tariff
  if (terms?.margin === undefined) return tariff
  const { margin, ...rest } = terms
  const rates = scaleUp(tariff, margin.multiplier).rates
  const steps = rest.steps.map(step => shownStep(step, margin.multiplier))
  const windows = rest.windows.map(
    (window): PriceWindow =>
      'rates' in window
        ? {
            ...window,
            ...shownChange(window, margin.multiplier),
            steps: window.steps.map(step => shownStep(step, margin.multiplier)),
          }
        : window,
  )
  if (windows.length + steps.length + Object.keys(rest.tiers).length === 0) return rates
  return { ...rates, terms: { ...rest, windows, steps } }
}

/** Rates times a multiplier, rounded up where that is no whole picodollar, and whether nothing had to be rounded. */
export function scaleUp(rates: Rates, { numerator, denominator }: Ratio): { rates: Rates; exact: boolean } {
  let exact = true
  const scaled = (picodollars: bigint): bigint => {
    const product = picodollars * numerator
    if (product % denominator !== 0n) exact = false
    return (product + denominator - 1n) / denominator
  }
  const maybe = (key: 'cacheWritePicodollars' | 'reasoningPicodollars' | 'searchUnitPicodollars') => {
    const picodollars = rates[key]
    return picodollars === undefined ? {} : { [key]: scaled(picodollars) }
  }
  const all: Rates = {
    inputPicodollars: scaled(rates.inputPicodollars),
    cachedInputPicodollars: scaled(rates.cachedInputPicodollars),
    ...maybe('cacheWritePicodollars'),
    outputPicodollars: scaled(rates.outputPicodollars),
    ...maybe('reasoningPicodollars'),
    requestPicodollars: scaled(rates.requestPicodollars),
    ...maybe('searchUnitPicodollars'),
  }
  return { rates: all, exact }
}

function shownChange<Own extends Change>(change: Own, multiplier: Ratio): Own {
  return 'rates' in change ? { ...change, rates: scaleUp(change.rates, multiplier).rates } : change
}

function shownStep(step: PriceStep, multiplier: Ratio): PriceStep {
  return shownChange(step, multiplier)
}
