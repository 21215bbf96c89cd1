import { z } from '@hono/zod-openapi'
import type { Caller } from '../admission/authenticate.ts'
import type { AccountPorts } from './account.ts'
import { ownLimitId } from './account.ts'
import type { ClientApiDeps } from './context.ts'
import { dollarsOut, exactDollars } from './money-fields.ts'
import { monthStart } from './usage-period.ts'

/** How an account stands. */
export const Checklist = z
  .object({
    email: z.boolean().openapi({ description: 'Always false: this installation knows organisations, not people.' }),
    billing_address: z.boolean(),
    payment_method: z.boolean().openapi({ description: 'Whether credit can be paid for here.' }),
    suspended: z.boolean(),
    suspend_reason: z.string().nullable().openapi({ description: 'balance: nothing is left to spend.' }),
    overdue_invoices: z.number(),
    last_checked: z.int().openapi({ description: 'Seconds since 1970.' }),
    stripe_balance: z
      .number()
      .openapi({ description: 'Dollars; below zero: credit that is left, which is what DeepInfra calls it.' }),
    balance_usd: z.string().openapi({ description: 'Credit that is left, in dollars, exact.' }),
    held_usd: z.string().openapi({ description: 'Of it, what running requests hold.' }),
    recent: z.number().openapi({ description: 'Spent in this month, in dollars.' }),
    limit: z.number().nullable().openapi({ description: 'What the organisation lets itself spend in a month.' }),
    topup: z.boolean(),
    topup_amount: z.int(),
    topup_threshold: z.int(),
    topup_failed: z.boolean(),
  })
  .openapi('Checklist')

/** How the caller's account stands now. */
export async function checklistOf(
  { org }: Caller,
  deps: ClientApiDeps,
  account: AccountPorts,
): Promise<z.infer<typeof Checklist>> {
  const nowMs = deps.nowMs()
  const { balanceNanodollars, heldNanodollars } = account.funds(org.id)
  let recent = 0n
  const month = { orgId: org.id, fromMs: monthStart(nowMs, 0), toMs: monthStart(nowMs, 1) }
  for await (const hour of account.usageHours(month)) recent += hour.chargeNanodollars
  const limit = monthlyLimit(org.id, deps)
  const empty = balanceNanodollars <= 0n
  return {
    email: false,
    billing_address: false,
    payment_method: account.checkout !== undefined,
    suspended: empty,
    suspend_reason: empty ? 'balance' : null,
    overdue_invoices: 0,
    last_checked: Math.floor(nowMs / 1000),
    stripe_balance: dollarsOut(-balanceNanodollars),
    balance_usd: exactDollars(balanceNanodollars),
    held_usd: exactDollars(heldNanodollars),
    recent: dollarsOut(recent),
    limit: limit === null ? null : dollarsOut(limit),
    ...{ topup: false, topup_amount: 0, topup_threshold: 0, topup_failed: false },
  }
}

/** What an org lets itself spend in a month, nanodollars; null: what it has. */
export function monthlyLimit(orgId: string, deps: ClientApiDeps): bigint | null {
  return deps.snapshot().limits.get(ownLimitId(orgId))?.amount ?? null
}
