import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import { FUNDING, GRANTS, orgAccount } from '../ledger/account.ts'
import { netCredit } from '../ledger/grant.ts'
import type { Transfer } from '../ledger/journal.ts'
import { formatDollars } from '../ledger/money.ts'
import { CREDIT_KINDS, type CreditKind } from '../ledger/transfer-rules.ts'
import { createId } from './api-key.ts'
import { answers, type Control, type ControlApp, jsonBody } from './control-context.ts'
import { CreditTransferList, creditId, creditTransferBody, signedDollars } from './credit-transfers.ts'
import { expireGrants } from './expire-grants.ts'
import {
  DollarsOut,
  decodeCursor,
  encodeCursor,
  formatTimeOrNull,
  PageQuery,
  SignedDollarsIn,
  TimeIn,
  TimeOut,
} from './fields.ts'
import { orgFunds } from './funds.ts'

const OrgParams = z.object({ org: z.string().openapi({ example: 'org_0aB3dE5gH7jK9m' }) })
/** Ten years. */
const EXPIRES_IN_S_MAX = 315_360_000

/** An org's money, as answered. */
export const CreditBody = z
  .object({
    org: z.string(),
    currency: z.literal('USD'),
    credited: DollarsOut.openapi({ description: 'All credit ever bought.' }),
    granted: DollarsOut.openapi({ description: 'All credit ever given for free.' }),
    refunded: DollarsOut.openapi({ description: 'All that was given back to the customer.' }),
    charged_back: DollarsOut.openapi({ description: 'All that the customer took back through a bank.' }),
    corrected: DollarsOut.openapi({ description: 'The sum of all corrections; negative when most took away.' }),
    expired: DollarsOut.openapi({ description: 'All that was left of grants when they ended.' }),
    charged: DollarsOut.openapi({ description: 'All charges.' }),
    balance: DollarsOut.openapi({
      description:
        'credited + granted - refunded - charged_back + corrected - expired - charged. Negative when more was taken back than was left.',
    }),
    purchased: DollarsOut.openapi({ description: 'The part of the balance that is not granted.' }),
    granted_left: DollarsOut.openapi({ description: 'The part of the balance that is granted; it is spent first.' }),
    held: DollarsOut.openapi({ description: 'Set aside for requests that run.' }),
    available: DollarsOut.openapi({
      description: 'balance - held: what new requests can hold. Below zero, or at it, nothing new is let in.',
    }),
    grants: z
      .array(
        z.object({
          id: z.string(),
          amount: DollarsOut,
          remaining: DollarsOut.openapi({ description: 'Neither spent nor ended.' }),
          expires_at: TimeOut.nullable().openapi({ description: 'When what is left goes back; null: never.' }),
        }),
      )
      .openapi({
        description: 'Grants of which something is left, in the order in which they are spent: what ends first, first.',
      }),
  })
  .openapi('Credit')

/** What changes credit. */
export const CreditAdd = z
  .strictObject({
    kind: z
      .enum(CREDIT_KINDS)
      .default('credit')
      .openapi({
        description:
          'credit: the org paid for it. grant: for free, perhaps until some time, and spent first. refund: given back to the customer, ' +
          'at most what was bought and not spent. chargeback: taken back by the customer’s bank, always possible. correction: either way, ' +
          'for the reason in the memo.',
      }),
    amount: SignedDollarsIn.openapi({
      description:
        'US dollars as a decimal string, at most 9 places. Above zero; of a correction below zero to take away.',
    }),
    memo: z
      .string()
      .max(500, 'can have at most 500 characters')
      .optional()
      .openapi({ description: 'For people, such as an invoice number. A correction has to have one.' }),
    by: z
      .string()
      .max(100, 'can have at most 100 characters')
      .optional()
      .openapi({ description: 'Who does it, such as a user’s name.' }),
    id: z
      .string()
      .regex(/^[\w.:-]{1,100}$/, 'can have 1 to 100 letters, digits and . _ : -')
      .optional()
      .openapi({
        description:
          'Doing it again with the same id changes nothing, so a lost answer can be repeated safely. One id serves one change of an org’s credit, of whatever kind.',
      }),
    expires_at: TimeIn.optional().openapi({
      description: 'Of a grant: when what is left goes back. Not beside expires_in_s.',
    }),
    expires_in_s: z
      .int('has to be a whole number of seconds')
      .min(1, 'has to be at least 1')
      .max(EXPIRES_IN_S_MAX, `has to be at most ${EXPIRES_IN_S_MAX}, ten years`)
      .optional()
      .openapi({
        description: 'Of a grant: the same as a number of seconds from now, which stays the same when repeated.',
      }),
    force: z.boolean().default(false).openapi({ description: 'Of a refund: also more than was bought and not spent.' }),
  })
  .openapi('CreditAdd')

type Change = z.output<typeof CreditAdd>

/** A change of credit, and the money of the org after it. */
export const CreditAdded = z
  .object({
    id: z.string(),
    kind: z.enum(CREDIT_KINDS),
    amount: DollarsOut.openapi({ description: 'Of a correction below zero when it took away.' }),
    memo: z.string().nullable(),
    by: z.string().nullable(),
    expires_at: TimeOut.nullable(),
    added: z
      .boolean()
      .openapi({ description: 'False when this id had been used for it before; then nothing changed.' }),
    credit: CreditBody,
  })
  .openapi('CreditAdded')

/** GET and POST /orgs/{org}/credit, GET /orgs/{org}/credit/transfers. */
export function creditRoutes(app: ControlApp, control: Control): void {
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/orgs/{org}/credit',
      operationId: 'getCredit',
      summary: 'Tell the money of an org',
      request: { params: OrgParams },
      responses: answers(200, 'The money of the org.', CreditBody),
    }),
    async context => context.json(await creditBody(control, context.req.valid('param').org), 200),
  )
  app.openapi(
    createRoute({
      method: 'post',
      path: '/control/v1/orgs/{org}/credit',
      operationId: 'addCredit',
      summary: 'Add credit to an org, grant it, or take it back',
      request: { params: OrgParams, body: jsonBody(CreditAdd) },
      responses: answers(200, 'The change, on disk and in force.', CreditAdded),
    }),
    async context => {
      const { org: orgId } = context.req.valid('param')
      return context.json(await changeCredit(control, orgId, context.req.valid('json')), 200)
    },
  )
  app.openapi(
    createRoute({
      method: 'get',
      path: '/control/v1/orgs/{org}/credit/transfers',
      operationId: 'listCreditTransfers',
      summary: 'List what changed the credit of an org, charges aside, newest first',
      request: { params: OrgParams, query: PageQuery },
      responses: answers(200, 'A page of transfers.', CreditTransferList),
    }),
    async context => {
      const { org: orgId } = context.req.valid('param')
      const { limit, cursor } = context.req.valid('query')
      control.org(orgId)
      await expireGrants(control, orgId)
      const page = { limit, cursor: cursor === undefined ? undefined : decodeCursor(cursor) }
      const { rows, nextCursor } = await control.store.creditTransfers(orgId, page)
      return context.json(
        {
          data: rows.map(transfer => creditTransferBody(orgId, transfer)),
          has_more: nextCursor !== null,
          next_cursor: nextCursor === null ? null : encodeCursor(nextCursor),
        },
        200,
      )
    },
  )
}

async function changeCredit(control: Control, orgId: string, change: Change): Promise<z.infer<typeof CreditAdded>> {
  control.org(orgId)
  refuseInvalid(change)
  const { kind, force } = change
  const id = change.id ?? createId('credit', control.randomBytes)
  const account = orgAccount(orgId)
  const operator = kind === 'grant' ? GRANTS : FUNDING
  const takes = kind === 'refund' || kind === 'chargeback' || change.amount < 0n
  const atMs = control.clock.nowMs()
  const transfer: Transfer = {
    // The org in the id keeps ids that operators choose apart from those of charges and of other orgs.
    id: creditId(orgId, id),
    debit: takes ? account : operator,
    credit: takes ? operator : account,
    amountNanodollars: change.amount < 0n ? -change.amount : change.amount,
    kind,
    requestId: null,
    atMs,
    memo: change.memo ?? null,
    by: change.by ?? null,
    expiresMs: change.expires_in_s === undefined ? (change.expires_at ?? null) : atMs + change.expires_in_s * 1000,
  }
  const posted = await control.store.post(transfer, { force })
  if (posted.transfer === null) throw refusedError(posted.refusal, posted.purchasedNanodollars)
  const recorded = posted.transfer
  const field = differingField(transfer, recorded, change)
  if (field !== null) {
    throw new ApiError(
      'conflict',
      `id: "${id}" was used before to ${VERBS[recorded.kind as CreditKind]} ${signedDollars(recorded)}, and ${field} differs; choose another id`,
      { param: 'id' },
    )
  }
  if (posted.added) control.books?.credit(orgId, takes ? -transfer.amountNanodollars : transfer.amountNanodollars)
  return {
    id,
    kind,
    amount: signedDollars(recorded),
    memo: recorded.memo,
    by: recorded.by ?? null,
    expires_at: formatTimeOrNull(recorded.expiresMs ?? null),
    added: posted.added,
    credit: await creditBody(control, orgId),
  }
}

const VERBS: Readonly<Record<CreditKind, string>> = {
  credit: 'add',
  grant: 'grant',
  refund: 'refund',
  chargeback: 'charge back',
  correction: 'correct by',
}

function refuseInvalid({ kind, amount, memo, expires_at, expires_in_s, force }: Change): void {
  const refuse = (param: string, what: string) => {
    throw new ApiError('invalid_value', `${param}: ${what}`, { param })
  }
  if (amount === 0n) refuse('amount', kind === 'correction' ? 'cannot be zero' : 'has to be above zero')
  if (amount < 0n && kind !== 'correction') refuse('amount', 'cannot be negative; only a correction can')
  if (kind === 'correction' && (memo ?? '').trim() === '') refuse('memo', 'has to say what a correction corrects')
  if (expires_at !== undefined && kind !== 'grant') refuse('expires_at', 'only a grant ends')
  if (expires_in_s !== undefined && kind !== 'grant') refuse('expires_in_s', 'only a grant ends')
  if (expires_at !== undefined && expires_in_s !== undefined) refuse('expires_in_s', 'cannot stand beside expires_at')
  if (force && kind !== 'refund') refuse('force', 'only a refund can be forced')
}

function refusedError(refusal: 'not_purchased' | 'ended' | null, purchasedNanodollars: bigint): ApiError {
  if (refusal === 'ended') return new ApiError('invalid_value', 'expires_at: is over already', { param: 'expires_at' })
  const most = formatDollars(purchasedNanodollars > 0n ? purchasedNanodollars : 0n)
  return new ApiError(
    'conflict',
    `amount: ${most} of what was bought is not spent; refund at most that, or say force to leave less than nothing`,
    { param: 'amount' },
  )
}

/** The field in which a change differs from the one on record under its id; null when it is the same one. */
function differingField(wanted: Transfer, recorded: Transfer, { expires_in_s }: Change): string | null {
  if (recorded.kind !== wanted.kind) return 'kind'
  if (recorded.amountNanodollars !== wanted.amountNanodollars || recorded.debit !== wanted.debit) return 'amount'
  const expiresMs = recorded.expiresMs ?? null
  const same =
    expires_in_s === undefined
      ? expiresMs === wanted.expiresMs
      : expiresMs !== null && expiresMs - recorded.atMs === expires_in_s * 1000
  if (!same) return expires_in_s === undefined ? 'expires_at' : 'expires_in_s'
  return recorded.memo === wanted.memo ? null : 'memo'
}

async function creditBody(control: Control, orgId: string): Promise<z.infer<typeof CreditBody>> {
  control.org(orgId)
  await expireGrants(control, orgId)
  const totals = await control.store.creditTotals(orgId)
  const funds = await orgFunds(control, orgId)
  const left = totals.grants.reduce((sum, grant) => sum + grant.remainingNanodollars, 0n)
  const put = netCredit(totals)
  return {
    org: orgId,
    currency: 'USD',
    credited: formatDollars(totals.creditedNanodollars),
    granted: formatDollars(totals.grantedNanodollars),
    refunded: formatDollars(totals.refundedNanodollars),
    charged_back: formatDollars(totals.chargedBackNanodollars),
    corrected: formatDollars(totals.correctedNanodollars),
    expired: formatDollars(totals.expiredNanodollars),
    // Taken from the balance, so that they agree although settlements go on meanwhile.
    charged: formatDollars(put - funds.balanceNanodollars),
    balance: formatDollars(funds.balanceNanodollars),
    purchased: formatDollars(funds.balanceNanodollars - left),
    granted_left: formatDollars(left),
    held: formatDollars(funds.heldNanodollars),
    available: formatDollars(funds.availableNanodollars),
    grants: totals.grants.map(grant => ({
      id: grant.id.slice(creditId(orgId, '').length),
      amount: formatDollars(grant.amountNanodollars),
      remaining: formatDollars(grant.remainingNanodollars),
      expires_at: formatTimeOrNull(grant.expiresMs),
    })),
  }
}
