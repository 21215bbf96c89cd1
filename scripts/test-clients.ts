/**
 * `npm run test:clients [-- word ...]`: real client libraries and programs, unchanged, against a real server on loopback; with
 * words only those whose id contains one. Installs what it needs from the lockfiles under `test/conformance` on first use.
 * `--json` prints the results as JSON, `--write` writes docs/reference/clients.md anew. Exit code 1 when a check failed.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { createStyle, wantsColour } from '../src/cli/output/style.ts'
import type { Client, ClientResult } from '../test/conformance/client.ts'
import { CLIENTS } from '../test/conformance/clients.ts'
import { document } from '../test/conformance/document.ts'
import { install } from '../test/conformance/installs.ts'
import { canIsolate, INSIDE, runIsolated } from '../test/conformance/isolation.ts'
import { summary, terminalReport } from '../test/conformance/report.ts'
import { killClients, notRunnable, runClient } from '../test/conformance/run-client.ts'
import { abandonWorld, startWorld } from '../test/conformance/world.ts'

const DOCUMENT = resolve(import.meta.dirname, '../docs/reference/clients.md')
/** Clients wait more than they compute, and each has a server of two slots to wait for. */
const CLIENTS_AT_A_TIME = Math.min(3, availableParallelism())
/** Longest run as a whole; far above what it takes. */
const RUN_MS_MAX = 30 * 60_000

const { values: flags, positionals: words } = parseArgs({
  allowPositionals: true,
  options: { json: { type: 'boolean', default: false }, write: { type: 'boolean', default: false } },
})
const chosen = CLIENTS.filter(({ id }) => words.length === 0 || words.some(word => id.includes(word)))
const say = (text: string) => process.stderr.write(`${text}\n`)

if (chosen.length === 0) {
  say(`No client matches ${words.join(' ')}. There are ${CLIENTS.map(({ id }) => id).join(', ')}.`)
  process.exit(1)
}
if (flags.write && words.length > 0) {
  say('--write needs the results of all clients: leave the words out.')
  process.exit(1)
}
/** Folders whose packages are not to be had, and why. */
const missing: Record<string, string> = JSON.parse(process.env[INSIDE] ?? '{}')
if (process.env[INSIDE] === undefined) {
  for (const folder of new Set(chosen.map(client => client.folder))) {
    const failure = await install(folder, say)
    if (failure === null) continue
    missing[folder] = failure
    say(`! ${failure}`)
  }
  if (canIsolate()) process.exit(runIsolated(import.meta.filename, process.argv.slice(2), missing))
  say('There are no namespaces to be had here: clients are kept on this machine by a proxy setting alone.')
}
process.exit(await main())

async function main(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'hr-clients-'))
  const leave = () => {
    killClients()
    abandonWorld()
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  }
  process.on('exit', leave)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => process.exit(130))
  setTimeout(() => {
    say(`The run took more than ${RUN_MS_MAX / 60_000} min.`)
    process.exit(1)
  }, RUN_MS_MAX).unref()

  const world = await startWorld()
  const results = new Map<Client, ClientResult>()
  const waiting = [...chosen]
  await Promise.all(
    Array.from({ length: CLIENTS_AT_A_TIME }, async () => {
      for (let client = waiting.shift(); client !== undefined; client = waiting.shift()) {
        const reason = missing[client.folder]
        const result = reason === undefined ? await runClient(world, client, folder) : notRunnable(client, reason)
        results.set(client, result)
        say(`${result.notRun ?? summary([result])}  ${client.id} (${result.seconds.toFixed(1)} s)`)
      }
    }),
  )
  await world.stop()
  const ordered = chosen.flatMap(client => results.get(client) ?? [])
  const failed = ordered.some(({ checks }) => checks.some(({ verdict }) => verdict === 'failed'))
  if (flags.write) writeFileSync(DOCUMENT, document(ordered))
  const style = createStyle(wantsColour(process.stdout.isTTY === true, process.env, undefined))
  const width = process.stdout.isTTY ? process.stdout.columns : null
  process.stdout.write(flags.json ? `${JSON.stringify(ordered, null, 2)}\n` : terminalReport(ordered, style, width))
  return failed ? 1 : 0
}
