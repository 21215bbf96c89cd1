import type { Style } from './output/style.ts'
import { renderFields } from './output/table.ts'
import { formatBytes, formatDuration, formatMoney } from './output/units.ts'
import type { RunningServer } from './serve-types.ts'

/** What a server that has started says of itself. */
export interface StartReport {
  readonly version: string
  readonly home: string
  readonly urls: readonly string[]
  readonly firstRun: RunningServer['firstRun']
  readonly models: RunningServer['models']
  /** The model for examples: the default one where it is ready. */
  readonly exampleModel: string | null
  readonly downloads: readonly { readonly model: string; readonly source: string; readonly bytes: number }[]
  /** Time from the start to accepting clients, split by whether something was being downloaded. */
  readonly downloadingMs: number
  readonly otherMs: number
}

/** A page on the first start of a home, with its key; one line, without secrets, on every later start. */
export function renderBanner(report: StartReport, style: Style): string {
  return report.firstRun === null ? laterStart(report, style) : firstStart(report, report.firstRun, style)
}

function laterStart(report: StartReport, style: Style): string {
  const models = report.models.map(model => `${model.id} ${model.state}`).join(', ') || 'no model yet'
  return `${style.bold(`Headrace ${report.version}`)}  ${style.cyan(apiUrl(report))}  ${models}  ${style.dim(`(${timeText(report)})`)}\n`
}

function firstStart(report: StartReport, firstRun: NonNullable<RunningServer['firstRun']>, style: Style): string {
  const bytes = report.downloads.reduce((sum, download) => sum + download.bytes, 0)
  const fields: [string, string][] = [
    ['API', style.cyan(apiUrl(report))],
    ...report.urls.slice(1).map((url): [string, string] => ['', url]),
    ['Docs', `${rootUrl(report)}/docs`],
    ['Home', report.home],
    ...modelFields(report),
    ['Fetched', bytes === 0 ? 'nothing' : formatBytes(bytes)],
    ['Started', `in ${timeText(report)}`],
    ['Credit', `${formatMoney(firstRun.credit)} for ${firstRun.orgId}`],
    ['API key', `${style.bold(firstRun.secret)}  ${style.dim('shown once, now; keep it')}`],
  ]
  const body = renderFields(fields, style).replaceAll(/^/gm, '  ').trimEnd()
  return `\n${style.bold(style.green(`Headrace ${report.version} is ready.`))}\n\n${body}\n\n${tryIt(report, firstRun.secret)}${commands(style)}\n`
}

function modelFields(report: StartReport): [string, string][] {
  if (report.models.length === 0) return [['Model', 'none yet; fetch one: npx headrace pull <model>']]
  return report.models.map(model => {
    const source = report.downloads.find(download => download.model === model.id)?.source
    const from = source === undefined ? (model.file ?? '') : `from ${source}`
    return ['Model', [model.id, model.state, from].filter(text => text !== '').join(', ')]
  })
}

function tryIt(report: StartReport, secret: string): string {
  if (report.exampleModel === null) return ''
  const body = JSON.stringify({
    model: report.exampleModel,
    messages: [{ role: 'user', content: 'Why is the sky blue?' }],
    // A small model may not find an end.
    max_tokens: 100,
  })
  return `Ask it something:

  curl ${apiUrl(report)}/chat/completions \\
    -H "Authorization: Bearer ${secret}" \\
    -H "Content-Type: application/json" \\
    -d '${body}'

`
}

function commands(style: Style): string {
  const next = renderFields(
    [
      ['npx headrace usage', 'what each request used and cost'],
      ['npx headrace chat', 'talk to the model here'],
      ['npx headrace keys create', 'another key'],
      ['npx headrace pull --help', 'how to bring a larger model; small ones are often wrong'],
      ['npx headrace --help', 'all else'],
    ],
    { ...style, dim: text => text },
  )
  return `Then, in another terminal:\n\n${next.replaceAll(/^(?=.)/gm, '  ')}\nCtrl-C stops it once running requests have ended.\n`
}

function apiUrl(report: StartReport): string {
  return `${rootUrl(report)}/v1`
}

function rootUrl(report: StartReport): string {
  return (report.urls[0] ?? '').replace(/\/$/, '')
}

function timeText(report: StartReport): string {
  if (report.downloadingMs === 0) return formatDuration(report.otherMs)
  return `${formatDuration(report.otherMs)}, and ${formatDuration(report.downloadingMs)} downloading`
}
