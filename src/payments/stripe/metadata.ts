import { formatDollars, parseDollars } from '../../ledger/money.ts'

/**
 * What a Checkout Session carries for us and its events bring back. It can be trusted as far as the Stripe account: who pays
 * cannot change it.
 */
export interface SessionNote {
  readonly orgId: string | null
  readonly pack: string | null
  readonly bonusNanodollars: bigint
}

/** The `metadata` of a session; Stripe takes strings. */
export function toMetadata({ orgId, pack, bonusNanodollars }: SessionNote): Record<string, string> {
  return {
    headrace_org: orgId ?? '',
    headrace_bonus: formatDollars(bonusNanodollars),
    ...(pack === null ? {} : { headrace_pack: pack }),
  }
}

/** Reads what `toMetadata` wrote. Of what somebody else wrote nothing is taken. */
export function fromMetadata(metadata: Readonly<Record<string, string>> | null | undefined): SessionNote {
  const bonus = metadata?.headrace_bonus ?? '0'
  return {
    orgId: metadata?.headrace_org || null,
    pack: metadata?.headrace_pack ?? null,
    bonusNanodollars: /^\d{1,9}(\.\d{1,9})?$/.test(bonus) ? parseDollars(bonus) : 0n,
  }
}
