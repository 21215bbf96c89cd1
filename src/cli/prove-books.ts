import { loadConfig } from '../config/load.ts'
import { allRows, createControlClient } from '../control/client.ts'
import { formatDollars, parseDollars } from '../ledger/money.ts'
import type { BooksPort } from '../prove/books-port.ts'
import { configFile } from '../prove/server-process.ts'
import type { Io } from './io.ts'

const PAGE_ROWS = 1_000

/** The books of the server that runs on a home, over its control plane. */
export async function connectBooks(io: Io, home: string): Promise<BooksPort> {
  const { cwd, userHome, readFile } = io
  const { config } = loadConfig({ flags: { home, config: configFile(home) }, env: {}, cwd, userHome, readFile })
  const channel = await io.openControl(config, 'server')
  const client = createControlClient(request => channel.send(request), channel.operatorToken())
  const org = async () => (await client.listOrgs()).data[0]?.id ?? ''
  return {
    async createKey(capNanodollars) {
      const cap = formatDollars(capNanodollars)
      return client.createKey({ org: await org(), name: 'proof', cap })
    },
    async keyMoney(keyId) {
      const { spent, held } = await client.getKey(keyId)
      return { spentNanodollars: parseDollars(spent), heldNanodollars: parseDollars(held) }
    },
    orgCharged: async () => parseDollars((await client.getCredit(await org())).charged),
    openHolds: async () => (await client.status()).open_holds,
    async *settled(keyId) {
      for await (const row of allRows(client.listUsage, { key: keyId, limit: PAGE_ROWS })) {
        yield {
          requestId: row.request,
          ending: row.ending,
          stream: row.stream,
          input: row.usage.input_tokens,
          cached: row.usage.cached_input_tokens,
          output: row.usage.output_tokens,
          isOutputReported: row.usage.output_source === 'reported',
          chargeNanodollars: parseDollars(row.charge),
          overrunNanodollars: parseDollars(row.overrun),
          heldNanodollars: parseDollars(row.held),
        }
      }
    },
    async transfers(requestId) {
      const { transfers } = await client.getUsage(requestId)
      return transfers.map(({ kind, debit, credit, amount }) => ({
        kind,
        debit,
        credit,
        amountNanodollars: parseDollars(amount),
      }))
    },
    verify: () => client.verifyLedger(),
    async *interrupted() {
      for await (const row of allRows(client.listInterrupted, { limit: PAGE_ROWS })) yield row.request
    },
    close: () => channel.close(),
  }
}
