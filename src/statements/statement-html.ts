import type { StatementView, ViewRow, ViewTable } from './statement-view.ts'

const STYLE = `
:root { color-scheme: light dark; --ink: #16202c; --soft: #5b6876; --line: #d9dfe6; --ground: #f4f6f8; --paper: #ffffff; --mark: #0b6e8f; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6ebf0; --soft: #9aa7b4; --line: #2e3944; --ground: #10161c; --paper: #18212a; --mark: #5cc0de; --warn: #e5b454; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 56rem; margin: 2rem auto; padding: 2.5rem 3rem; background: var(--paper); border: 1px solid var(--line); border-radius: .5rem; }
header { display: flex; flex-wrap: wrap; gap: 1.5rem 3rem; justify-content: space-between; align-items: flex-start; border-bottom: 2px solid var(--mark); padding-bottom: 1.5rem; }
h1 { margin: 0; font-size: 1.75rem; line-height: 1.2; }
h2 { margin: 2.25rem 0 .5rem; font-size: 1.05rem; }
.subtitle { margin: .25rem 0 0; color: var(--soft); overflow-wrap: anywhere; }
.notice { margin: 1.5rem 0 0; padding: .6rem .9rem; border-left: 3px solid var(--warn); color: var(--warn); }
dl { display: grid; grid-template-columns: auto auto; gap: .15rem 1rem; margin: 0; font-size: .875rem; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.parties { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 1.5rem; margin-top: 1.5rem; }
.parties h2 { margin: 0 0 .25rem; font-size: .8rem; text-transform: uppercase; letter-spacing: .06em; color: var(--soft); }
.parties p { margin: 0; } .parties p:nth-of-type(1) { font-weight: 600; }
table { width: 100%; border-collapse: collapse; font-size: .9rem; }
th { font-weight: 600; font-size: .8rem; color: var(--soft); text-align: left; border-bottom: 1px solid var(--line); }
th, td { padding: .4rem .75rem .4rem 0; vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
td { overflow-wrap: anywhere; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.group td { font-weight: 600; border-top: 1px solid var(--line); padding-top: .7rem; }
tr.group:first-child td { border-top: 0; }
.charges tr.line td:first-child { padding-left: 1rem; color: var(--soft); }
.credits th:first-child, .corrections th:first-child { width: 7rem; } .credits th:nth-child(3), .corrections th:nth-child(3) { width: 35%; }
tr.total td { font-weight: 600; border-top: 2px solid var(--line); padding-top: .6rem; }
.summary { margin-top: 1.75rem; }
.summary td { padding: .3rem 0; } .summary tr.strong td { font-weight: 700; border-top: 1px solid var(--line); }
footer { margin-top: 2.5rem; padding-top: 1rem; border-top: 1px solid var(--line); font-size: .8rem; color: var(--soft); }
footer p { margin: 0 0 .4rem; }
@media (max-width: 40rem) {
  main { margin: 0; border: 0; border-radius: 0; padding: 1.25rem 1rem; }
  .wide thead { display: none; }
  .wide tr { display: grid; grid-template-columns: 1fr auto; gap: 0 .75rem; padding: .4rem 0; border-top: 1px solid var(--line); }
  .wide, .wide tbody { display: block; }
  .wide tr.line td, .wide tr.group td, .wide tr.total td { border: 0; padding: 0; }
  .wide td:nth-child(1) { grid-area: 1 / 1; } .wide td:last-child { grid-area: 1 / 2; }
  .wide tr td:nth-child(2), .wide tr td:nth-child(3) { font-size: .8rem; color: var(--soft); font-weight: 400; white-space: normal; }
  .wide td:nth-child(2) { grid-area: 2 / 1; text-align: left; } .wide td:nth-child(3) { grid-area: 2 / 2; text-align: right; }
  .wide.charges tr.line td:nth-child(1), .wide.charges tr.line td:nth-child(2) { padding-left: 1rem; }
  .wide td:empty { display: none; }
}
@media print {
  @page { margin: 16mm 15mm; }
  :root { --ink: #000; --soft: #444; --line: #bbb; --ground: #fff; --paper: #fff; --mark: #000; --warn: #000; color-scheme: light; }
  body { font-size: 10pt; }
  main { margin: 0; padding: 0; border: 0; max-width: none; }
  header { padding-bottom: .75rem; } h2 { margin-top: 1.25rem; } .summary { margin-top: 1rem; } footer { margin-top: 1.5rem; }
  td, .summary td { padding-top: .15rem; padding-bottom: .15rem; }
  thead { display: table-header-group; } tr, .summary, .parties { break-inside: avoid; } h2, tr.group { break-after: avoid; }
}
`

/** A statement or invoice as one HTML file that needs nothing beside it: no script, no font, no image. */
export function statementHtml(view: StatementView): string {
  const title = `${view.title} ${view.subtitle}`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${escaped(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<header>
<div>
<h1>${escaped(view.title)}</h1>
<p class="subtitle">${escaped(view.subtitle)}</p>
</div>
<dl>
${view.facts.map(([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`).join('\n')}
</dl>
</header>
${view.notice === '' ? '' : `<p class="notice">${escaped(view.notice)}</p>\n`}${parties(view)}<table class="summary">
<tbody>
${view.summary.map(line => `<tr${line.strong ? ' class="strong"' : ''}><td>${escaped(line.name)}</td><td class="n">${escaped(line.value)}</td></tr>`).join('\n')}
</tbody>
</table>
${view.tables.map(table).join('\n')}
<footer>
${view.footer.map(line => `<p>${escaped(line)}</p>`).join('\n')}
</footer>
</main>
</body>
</html>
`
}

function parties(view: StatementView): string {
  if (view.parties.length === 0) return ''
  const blocks = view.parties.map(
    party =>
      `<section>\n<h2>${escaped(party.role)}</h2>\n${party.lines.map(line => `<p>${escaped(line)}</p>`).join('\n')}\n</section>`,
  )
  return `<div class="parties">\n${blocks.join('\n')}\n</div>\n`
}

function table(shown: ViewTable): string {
  const cell = (tag: string, text: string, index: number) =>
    `<${tag}${shown.columns[index]?.numeric === true ? ' class="n"' : ''}>${escaped(text)}</${tag}>`
  const row = (each: ViewRow) =>
    `<tr class="${each.kind}">${each.cells.map((text, index) => cell('td', text, index)).join('')}</tr>`
  return `<h2>${escaped(shown.title)}</h2>
<table class="wide ${shown.title.toLowerCase()}">
<thead><tr>${shown.columns.map((column, index) => cell('th', column.title, index)).join('')}</tr></thead>
<tbody>
${shown.rows.map(row).join('\n')}
</tbody>
</table>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
