import type { Progress } from '../prove/prove.ts'
import type { Claim, ProofReport } from '../prove/report.ts'
import { printable } from './output/style.ts'
import { renderFields } from './output/table.ts'
import { formatCount, formatDuration, formatMoney } from './output/units.ts'
import type { Session } from './session.ts'

/** The control plane lists no more than the newest so many. */
const INTERRUPTED_LISTED_MAX = 1_000

/** A finished proof for people: what was done, what came of it, and each claim. */
export function proofText({ style, table }: Pick<Session, 'style' | 'table'>, report: ProofReport): string {
  const { size, counts, refusals } = report
  const times = (count: number) => (count === 1 ? 'once' : count === 2 ? 'twice' : `${formatCount(count)} times`)
  const kills =
    size.kills === 0
      ? 'no'
      : `${times(size.kills)}, with ${report.running_at_kills.map(formatCount).join(', ')} requests running`
  const codes = Object.entries(refusals)
    .sort(([, a], [, b]) => b - a)
    .map(([code, count]) => `${formatCount(count)} ${code}`)
  const endings = Object.entries(report.endings)
    .sort(([, a], [, b]) => b - a)
    .map(([ending, count]) => `${formatCount(count)} ${ending}`)
  const bound =
    report.first_refused_after === null
      ? 'no request was refused for good'
      : `it bound after ${formatCount(report.first_refused_after)} requests`
  const interrupted = `${report.interrupted >= INTERRUPTED_LISTED_MAX ? 'at least ' : ''}${formatCount(report.interrupted)}`
  const fields: [string, string][] = [
    ['Clients', formatCount(size.clients)],
    ['Requests', formatCount(counts.requests)],
    [
      'On the wire',
      `${formatCount(counts.sent)} with repeats, ${formatCount(counts.streamed)} streamed, ${formatCount(counts.sent - counts.streamed)} buffered`,
    ],
    ['Clients left', `${formatCount(counts.left)} times before their answer was whole`],
    [
      'Upstream broke off',
      `${formatCount(counts.upstream_deaths)} answers${counts.upstream_kills === 0 ? '' : `, and its process was killed ${times(counts.upstream_kills)}`}`,
    ],
    ['Server killed', kills],
    ['Broken by that', `${formatCount(counts.broken)} connections; ${interrupted} requests listed as interrupted`],
    ['Took', `${formatDuration(report.duration_ms)}, ${formatCount(report.requests_per_second)} requests a second`],
    ['Seed', String(size.seed)],
    ['Endings', endings.join(', ')],
    ['Cap', `${formatMoney(report.cap)}; ${bound}`],
    ['Spent', `${formatMoney(report.spent)}, ${report.spent_percent} % of the cap`],
    ['Refused', `${formatCount(counts.refused)} requests for good; on the wire ${codes.join(', ') || 'none'}`],
    ['Books looked at', `${times(report.samples)} while money moved`],
    [
      'Seen whole',
      `${formatCount(counts.whole)} answers (${formatCount(counts.done)} to their last byte), each compared with its charge and its transfers`,
    ],
  ]
  const claims = table<Claim>(
    [
      { title: 'CLAIM', text: claim => claim.name },
      { title: 'FOUND', text: claim => claim.found, right: true },
      { title: 'WANTED', text: claim => claim.wanted },
      {
        title: 'VERDICT',
        text: claim => (claim.holds ? 'holds' : 'FAILS'),
        paint: (cell, claim) => (claim.holds ? style.green(cell) : style.red(cell)),
      },
    ],
    report.claims,
  )
  const against = report.claims
    .filter(claim => !claim.holds)
    .flatMap(claim => claim.against.map(what => `  ${claim.name}: ${printable(what)}\n`))
  const verdict = report.holds ? style.green('Proved: every claim holds.') : style.red('Not proved: a claim fails.')
  return `${renderFields(fields, style)}\n${claims}\n${verdict}\n${against.join('')}`
}

/** One line that tells how far a proof is. */
export function progressText(progress: Progress): string {
  const { phase, done, of, refused, kills, takenNanodollars, capNanodollars } = progress
  if (phase === 'starting') return 'Starting a server and an upstream'
  if (phase === 'auditing') return `Auditing: ${formatCount(done)} of ${formatCount(of)} answers`
  const percent = (takenNanodollars * 100n) / capNanodollars
  return `${formatCount(done)} of ${formatCount(of)} requests, ${percent} % of the cap taken, ${formatCount(refused)} refused, ${kills} kills`
}
