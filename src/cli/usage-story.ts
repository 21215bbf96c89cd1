import type { ControlClient } from '../control/client.ts'
import { picodollarsToDecimal } from '../wire/decimal.ts'
import { renderFields } from './output/table.ts'
import { formatCount, formatDuration, formatMoney, formatTime } from './output/units.ts'
import type { Session } from './session.ts'

type Story = Awaited<ReturnType<ControlClient['getUsage']>>
type Line = NonNullable<Story['arithmetic']>['lines'][number]
type Transfer = Story['transfers'][number]

/** One request from its admission to its charge, so that a person can check the bill by hand. */
export function usageStoryText(session: Session, story: Story): string {
  const { row, rule, arithmetic } = story
  const { style } = session
  const fields: [string, string][] = [
    ['Request', style.bold(row.request)],
    ['Model', row.model],
    [
      'Ran on',
      row.upstream === ''
        ? 'nothing; no upstream was reached'
        : `${row.upstream}, ${row.attempts} ${row.attempts === 1 ? 'attempt' : 'attempts'}`,
    ],
    ['Ending', rule.when === row.ending ? row.ending : `${row.ending}: ${rule.when}`],
    ['Charged then', rule.charged],
    ['For', `${row.org} with ${row.key}`],
    ['Admitted', `${formatTime(row.admitted_at)} UTC`],
    ['First token', row.ttft_ms === null ? 'none' : `after ${formatDuration(row.ttft_ms)}`],
    ['Settled', `${formatTime(row.settled_at)} UTC, after ${formatDuration(row.duration_ms)}`],
  ]
  const parts = [renderFields(fields, style)]
  if (arithmetic === null) {
    parts.push(
      `The price row ${row.price} is gone, so the charge of ${formatMoney(row.charge)} cannot be worked out again.\n`,
    )
  } else {
    parts.push(arithmeticTable(session, arithmetic.lines, row.usage))
    parts.push(
      renderFields(
        [
          ...arithmetic.factors.map(({ of, multiplier }): [string, string] => ['Times', `${multiplier} for the ${of}`]),
          ['Sum', `$${arithmetic.dollars}`],
          ['Rounded', `${formatMoney(arithmetic.rounded)}, once, half to even, to $0.000000001`],
          ['Held', `${formatMoney(arithmetic.held)} at most`],
          ['Charge', style.bold(formatMoney(arithmetic.charge))],
          ...(/^0(\.0+)?$/.test(arithmetic.overrun)
            ? []
            : [['Overrun', `${formatMoney(arithmetic.overrun)}, borne by the operator`] as [string, string]]),
          ['Why', arithmetic.explanation],
          ['Price', story.price === null ? row.price : priceText(story.price)],
        ],
        style,
      ),
    )
  }
  parts.push(transferTable(session, story.transfers))
  return parts.join('\n')
}

function priceText({ id, from, to }: NonNullable<Story['price']>): string {
  const end = to === null ? 'until further notice' : `to ${formatTime(to)} UTC`
  return `${id}, in force from ${formatTime(from)} UTC ${end}`
}

/** The transfers of a request in the ledger. */
function transferTable(session: Session, transfers: readonly Transfer[]): string {
  if (transfers.length === 0) return 'No transfers: nothing was charged.\n'
  return session.table<Transfer>(
    [
      { title: 'AT (UTC)', text: transfer => formatTime(transfer.at) },
      { title: 'KIND', text: transfer => transfer.kind },
      { title: 'DEBIT', text: transfer => transfer.debit },
      { title: 'CREDIT', text: transfer => transfer.credit },
      { title: 'AMOUNT', text: transfer => formatMoney(transfer.amount), right: true },
      { title: 'TRANSFER', text: transfer => transfer.id, shrink: true },
    ],
    transfers,
  )
}

function arithmeticTable(session: Session, lines: readonly Line[], usage: Story['row']['usage']): string {
  const sources: Record<Line['class'], string> = {
    input: usage.input_source,
    cached_input: usage.cached_input_source,
    cache_write: usage.cache_write_source,
    output: usage.output_source,
    reasoning: usage.reasoning_source,
    request: '',
    search_unit: '',
  }
  return session.table<Line>(
    [
      { title: 'CLASS', text: line => line.class.replaceAll('_', ' ') },
      { title: 'COUNT', text: line => formatCount(line.quantity), right: true },
      { title: 'SOURCE', text: line => sources[line.class] },
      {
        title: 'PRICE',
        text: line =>
          `${formatMoney(line.price)} ${line.class === 'request' || line.class === 'search_unit' ? 'each' : 'per M'}`,
        right: true,
      },
      { title: 'DOLLARS', text: line => `$${picodollarsToDecimal(BigInt(line.picodollars))}`, right: true },
    ],
    lines,
  )
}
