import { createRoute, z } from '@hono/zod-openapi'
import { answers, type Control, type ControlApp } from './control-context.ts'

/** What the ledger's check of itself found. */
export const VerifyBody = z
  .object({
    ok: z.boolean(),
    transfers: z.int(),
    settlements: z.int(),
    problems: z
      .array(z.string())
      .openapi({ description: 'One sentence per discrepancy; empty when the books balance.' }),
  })
  .openapi('LedgerVerification')

/** POST /ledger/verify. */
export function ledgerRoutes(app: ControlApp, control: Control): void {
  app.openapi(
    createRoute({
      method: 'post',
      path: '/control/v1/ledger/verify',
      operationId: 'verifyLedger',
      summary: 'Check that the books balance',
      responses: answers(
        200,
        'What was checked and found. A discrepancy is an answer too, with ok: false.',
        VerifyBody,
      ),
    }),
    async context => {
      const { ok, transfers, settlements, problems } = await control.store.verify()
      return context.json({ ok, transfers, settlements, problems: [...problems] }, 200)
    },
  )
}
