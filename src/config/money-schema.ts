import { z } from 'zod'
import { parseDollars } from '../ledger/money.ts'
import { about, bytes, count, GIB, KIB, MIB, succeeds } from './setting-kinds.ts'

/** The section `money`. */
export const money = z.strictObject({
  startingCredit: z
    .string()
    .refine(value => succeeds(parseDollars)(value) && parseDollars(value) >= 0n)
    .default('5.00')
    .meta(
      about('Credit of the org that the first start creates.', {
        unit: 'dollars',
        decimal: true,
        allowed: 'a decimal such as "5.00", 0 or more, at most 9 places',
      }),
    ),
  lowBalance: z
    .string()
    .refine(value => succeeds(parseDollars)(value) && parseDollars(value) > 0n)
    .nullable()
    .default('1.00')
    .meta(
      about(
        'An org whose balance falls below this is told of by the webhook event credit.low, once until it is above again; null: it is not.',
        { unit: 'dollars', decimal: true, allowed: 'a decimal such as "1.00" above 0, at most 9 places, or null' },
      ),
    ),
  usageMonthsKept: z
    .union([z.literal('all'), z.int().min(1).max(1_200)])
    .default('all')
    .meta(
      about(
        'Past months (UTC) whose usage rows are kept, beside the running one; older ones are dropped whole, and their hourly sums and charges stay.',
        { unit: 'months' },
      ),
    ),
  idempotency: z
    .strictObject({
      // Fewer days than any month has: the usage row of a stored answer is never dropped before it.
      keepHours: count(24, 1, 672, 'How long a repetition with the same key gets the first answer.', 'hours'),
      answerBytesMax: bytes(
        4 * MIB,
        KIB,
        64 * MIB,
        'Longest answer that is stored; a longer one says that it was not.',
      ),
      totalBytesMax: bytes(
        GIB,
        MIB,
        1_024 * GIB,
        'Most that all stored answers take in the database, compressed; beyond it the oldest go before their time.',
      ),
    })
    .prefault({})
    .meta(about('Answers to requests with an Idempotency-Key, which are stored to be sent again without a charge.')),
})
