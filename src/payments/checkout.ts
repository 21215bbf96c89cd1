import { ApiError } from '../errors.ts'
import { formatDollars, parseDollars } from '../ledger/money.ts'

/** Money is paid in whole cents. */
const NANODOLLARS_PER_CENT = 10_000_000n

/** What somebody wants to pay: an amount or a pack. */
export interface CheckoutWish {
  readonly orgId: string
  readonly amountNanodollars: bigint | null
  readonly pack: string | null
  /** Makes repeating harmless: a checkout of the same id is begun once. */
  readonly id: string | null
}

/** A page where it can be paid. */
export interface CheckoutOffer {
  readonly id: string
  readonly url: string
  readonly amountNanodollars: bigint
  readonly bonusNanodollars: bigint
  readonly expiresMs: number
}

/** The sums that may be paid, as the configuration says them: decimal strings in dollars, in whole cents. */
export interface Assortment {
  readonly packs: readonly { readonly id: string; readonly dollars: string; readonly bonus: string }[]
  readonly minDollars: string
  readonly maxDollars: string
}

/** A sum that is on offer. */
export interface Sum {
  readonly cents: bigint
  readonly pack: string | null
  readonly bonusNanodollars: bigint
}

/**
 * The sum that a wish means.
 *
 * @throws ApiError 400 for a pack that there is not, an amount outside of the bounds or finer than a cent, both or neither.
 */
export function sumOf({ amountNanodollars, pack }: CheckoutWish, { packs, minDollars, maxDollars }: Assortment): Sum {
  const names = packs.map(({ id }) => id).join(', ')
  if (pack !== null && amountNanodollars !== null)
    throw new ApiError('invalid_value', 'pack: cannot stand beside amount; leave one of them out', { param: 'pack' })
  if (pack !== null) {
    const found = packs.find(({ id }) => id === pack)
    if (found === undefined) {
      const there = names === '' ? 'there are no packs; name an amount' : `there are ${names}`
      throw new ApiError('invalid_value', `pack: there is no pack ${JSON.stringify(pack)}; ${there}`, { param: 'pack' })
    }
    const cents = parseDollars(found.dollars) / NANODOLLARS_PER_CENT
    return { cents, pack, bonusNanodollars: parseDollars(found.bonus) }
  }
  if (amountNanodollars === null)
    throw new ApiError('missing_required_parameter', 'amount: is required, or a pack; add one', { param: 'amount' })
  if (amountNanodollars % NANODOLLARS_PER_CENT !== 0n)
    throw new ApiError('invalid_value', 'amount: has to be in whole cents', { param: 'amount' })
  if (amountNanodollars < parseDollars(minDollars) || amountNanodollars > parseDollars(maxDollars)) {
    throw new ApiError(
      'invalid_value',
      `amount: is ${formatDollars(amountNanodollars)}, and has to be from ${minDollars} to ${maxDollars}`,
      { param: 'amount' },
    )
  }
  return { cents: amountNanodollars / NANODOLLARS_PER_CENT, pack: null, bonusNanodollars: 0n }
}
