import { createRoute, z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import { FUNDING, orgAccount } from '../ledger/account.ts'
import type { Transfer } from '../ledger/journal.ts'
import { formatDollars } from '../ledger/money.ts'
import { createId } from './api-key.ts'
import { answers, type Control, type ControlApp, jsonBody } from './control-context.ts'
import { DollarsIn, DollarsOut } from './fields.ts'
import { orgFunds } from './funds.ts'

const OrgParams = z.object({ org: z.string().openapi({ example: 'org_0aB3dE5gH7jK9m' }) })

/** An org's money, as answered. */
export const CreditBody = z
  .object({
    org: z.string(),
    currency: z.literal('USD'),
    credited: DollarsOut.openapi({ description: 'All credit ever added.' }),
    charged: DollarsOut.openapi({ description: 'All charges.' }),
    balance: DollarsOut.openapi({ description: 'credited - charged.' }),
    held: DollarsOut.openapi({ description: 'Set aside for requests that run.' }),
    available: DollarsOut.openapi({ description: 'balance - held: what new requests can hold.' }),
  })
  .openapi('Credit')

/** What adds credit. */
export const CreditAdd = z
  .strictObject({
    amount: DollarsIn,
    memo: z
      .string()
      .max(500, 'can have at most 500 characters')
      .optional()
      .openapi({ description: 'For people, such as an invoice number.' }),
    id: z
      .string()
      .regex(/^[\w.:-]{1,100}$/, 'can have 1 to 100 letters, digits and . _ : -')
      .optional()
      .openapi({
        description: 'Adding credit again with the same id changes nothing, so a lost answer can be repeated safely.',
      }),
  })
  .openapi('CreditAdd')

/** Credit that was added, and the money of the org after it. */
export const CreditAdded = z
  .object({
    id: z.string(),
    amount: DollarsOut,
    memo: z.string().nullable(),
    added: z.boolean().openapi({ description: 'False when this id had been added before; then nothing changed.' }),
    credit: CreditBody,
  })
  .openapi('CreditAdded')

/** GET and POST /orgs/{org}/credit. */
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
      summary: 'Add credit to an org',
      request: { params: OrgParams, body: jsonBody(CreditAdd) },
      responses: answers(200, 'The credit, on disk and ready to be spent.', CreditAdded),
    }),
    async context => {
      const { org: orgId } = context.req.valid('param')
      const body = context.req.valid('json')
      control.org(orgId)
      if (body.amount === 0n) throw new ApiError('invalid_value', 'amount: has to be above zero', { param: 'amount' })
      const id = body.id ?? createId('credit', control.randomBytes)
      const transfer: Transfer = {
        // The org in the id keeps ids that operators choose apart from those of charges and of other orgs.
        id: `${orgAccount(orgId)}:credit:${id}`,
        debit: FUNDING,
        credit: orgAccount(orgId),
        amountNanodollars: body.amount,
        kind: 'credit',
        requestId: null,
        atMs: control.clock.nowMs(),
        memo: body.memo ?? null,
      }
      const { added, transfer: recorded } = await control.store.addCredit(transfer)
      if (recorded.amountNanodollars !== body.amount) {
        const earlier = formatDollars(recorded.amountNanodollars)
        throw new ApiError('conflict', `id: "${id}" was used before to add ${earlier}; choose another id`, {
          param: 'id',
        })
      }
      if (added) control.books?.credit(orgId, body.amount)
      return context.json(
        {
          id,
          amount: formatDollars(body.amount),
          memo: recorded.memo,
          added,
          credit: await creditBody(control, orgId),
        },
        200,
      )
    },
  )
}

async function creditBody(control: Control, orgId: string): Promise<z.infer<typeof CreditBody>> {
  control.org(orgId)
  const credited = await control.store.creditedTotal(orgId)
  const funds = await orgFunds(control, orgId)
  return {
    org: orgId,
    currency: 'USD',
    credited: formatDollars(credited),
    // Taken from the balance, so that the three agree although settlements go on meanwhile.
    charged: formatDollars(credited - funds.balanceNanodollars),
    balance: formatDollars(funds.balanceNanodollars),
    held: formatDollars(funds.heldNanodollars),
    available: formatDollars(funds.availableNanodollars),
  }
}
