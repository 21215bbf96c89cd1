import { formatMoney, formatTime } from './output/units.ts'
import type { PriceOut } from './price-file.ts'
import type { Session } from './session.ts'

/** Prices of one or many models as a table. */
export function priceTable(session: Session, prices: readonly PriceOut[]): string {
  const several = new Set(prices.map(price => price.model)).size > 1
  const grouped = prices.some(price => price.group !== undefined)
  const money = (title: string, name: 'input' | 'cached_input' | 'output' | 'request') => ({
    title,
    text: (price: PriceOut) => formatMoney(price[name]),
    right: true,
  })
  return session.table<PriceOut>(
    [
      ...(several ? [{ title: 'MODEL', text: (price: PriceOut) => price.model }] : []),
      ...(grouped ? [{ title: 'GROUP', text: (price: PriceOut) => price.group ?? 'all' }] : []),
      { title: 'FROM (UTC)', text: price => formatTime(price.from) },
      { title: 'TO (UTC)', text: price => (price.to === null ? 'further notice' : formatTime(price.to)) },
      money('$/M INPUT', 'input'),
      money('$/M CACHED', 'cached_input'),
      money('$/M OUTPUT', 'output'),
      money('$/REQUEST', 'request'),
      { title: 'ID', text: price => price.id },
    ],
    prices,
  )
}

/** What the table has no column for, a line each; empty for a plain price. */
export function termsText(price: PriceOut): string {
  const { id, cache_write, reasoning, search_unit, windows = [], steps = [], tiers = {}, margin } = price
  const classes = (of: Partial<PriceOut>) =>
    of.input === undefined
      ? ''
      : `input ${of.input}, cached ${of.cached_input ?? of.input}, output ${of.output}${extra('cache write', of.cache_write)}${extra('reasoning', of.reasoning)}`
  const extra = (name: string, value: string | undefined) => (value === undefined ? '' : `, ${name} ${value}`)
  const change = (of: { multiplier?: string } & Partial<PriceOut>) =>
    of.multiplier === undefined ? classes(of) : `times ${of.multiplier}`
  const lines = [
    ...(cache_write === undefined ? [] : [`cache write $${cache_write} per M`]),
    ...(reasoning === undefined ? [] : [`reasoning $${reasoning} per M`]),
    ...(search_unit === undefined ? [] : [`search unit $${search_unit}`]),
    ...windows.map(
      window => `${window.days?.join(' ') ?? 'every day'} ${window.start}-${window.end} UTC: ${change(window)}`,
    ),
    ...steps.map(step => `from ${step.from_input_tokens} input tokens on: ${change(step)}`),
    ...Object.entries(tiers).map(([tier, multiplier]) => `${tier}: times ${multiplier}`),
    ...(margin === undefined ? [] : [`times ${margin.multiplier} over the cost at ${margin.upstream}`]),
  ]
  return lines.map(line => `  ${id}: ${line}\n`).join('')
}
