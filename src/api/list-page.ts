import { z } from '@hono/zod-openapi'
import { ApiError } from '../errors.ts'
import type { KeptPage } from '../ledger/kept-document.ts'
import { listPage } from './paging.ts'

/** The query of a list: `limit` of at most so many, `after` the last of the page before, and perhaps an order. */
export function listQuery(limitDefault: number, limitMax: number) {
  return z.object({
    after: z
      .string()
      .min(1)
      .max(255)
      .optional()
      .openapi({ description: 'The id of the last item of the page before.' }),
    limit: z.coerce.number().int().min(1).max(limitMax).default(limitDefault),
    order: z.enum(['asc', 'desc']).default('desc').openapi({ description: 'By the time at which they were made.' }),
  })
}

/** The query of a list after its check. */
export type ListQuery = z.output<ReturnType<typeof listQuery>>

/** A page of a list as OpenAI's clients read it. */
export function listOf<Item extends z.ZodType>(item: Item) {
  return z.object({
    object: z.literal('list'),
    data: z.array(item),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  })
}

/**
 * Reads a page and one item more, which tells whether there are more. `check` finds the item that the page is to come after, and throws
 * when there is none: clients would take an empty page for the end of the list.
 */
export async function readPage<Item, Shown extends { readonly id: string }>(
  { after, limit, order }: ListQuery,
  list: (page: KeptPage) => Promise<readonly Item[]>,
  show: (item: Item) => Shown,
  check: (id: string) => Promise<unknown>,
) {
  if (after !== undefined)
    await check(after).catch(cause => {
      if (!(cause instanceof ApiError)) throw cause
      throw new ApiError('invalid_value', `after: ${cause.message}`, { param: 'after', cause })
    })
  const found = await list({ order, limit: limit + 1, ...(after !== undefined && { afterId: after }) })
  const data = found.slice(0, limit).map(show)
  return { ...listPage(data, found.length > limit), data }
}
