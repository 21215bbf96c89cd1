import { z } from '@hono/zod-openapi'
import { orgAccount } from '../ledger/account.ts'
import { TRANSFER_KINDS, type Transfer } from '../ledger/journal.ts'
import { formatDollars } from '../ledger/money.ts'
import { DollarsOut, formatTime, formatTimeOrNull, listOf, TimeOut } from './fields.ts'

const CreditTransferBody = z
  .object({
    id: z
      .string()
      .openapi({ description: 'The id that it was given when it was made; of an expiry the ledger’s own.' }),
    kind: z.enum(TRANSFER_KINDS),
    amount: DollarsOut.openapi({ description: 'Above zero when the org got it, below zero when it went from it.' }),
    at: TimeOut,
    memo: z.string().nullable(),
    by: z.string().nullable().openapi({ description: 'Who made it, where that is known.' }),
    expires_at: TimeOut.nullable().openapi({ description: 'Of a grant: when what is left goes back; null: never.' }),
  })
  .openapi('CreditTransfer')

/** A page of transfers that are not charges. */
export const CreditTransferList = listOf(CreditTransferBody).openapi('CreditTransferList')

/** The ledger's id of a change that was given an id within its org. */
export function creditId(orgId: string, id: string): string {
  return `${orgAccount(orgId)}:credit:${id}`
}

/** The amount of a change as it was asked for: a correction that takes away is below zero. */
export function signedDollars(transfer: Transfer): string {
  const { kind, debit, amountNanodollars } = transfer
  return formatDollars(kind === 'correction' && debit.startsWith('org:') ? -amountNanodollars : amountNanodollars)
}

/** A transfer of an org as it is listed. */
export function creditTransferBody(orgId: string, transfer: Transfer): z.infer<typeof CreditTransferBody> {
  const prefix = creditId(orgId, '')
  const { id, kind, debit, amountNanodollars, atMs, memo, by = null, expiresMs = null } = transfer
  return {
    id: id.startsWith(prefix) ? id.slice(prefix.length) : id,
    kind,
    amount: formatDollars(debit.startsWith('org:') ? -amountNanodollars : amountNanodollars),
    at: formatTime(atMs),
    memo,
    by,
    expires_at: formatTimeOrNull(expiresMs),
  }
}
