import { z } from '@hono/zod-openapi'

/** The query of a list: OpenAI's paging by the id of the last one seen. */
export const PAGE_QUERY = {
  after: z.string().min(1).optional().openapi({ description: 'The id of the last one of the page before.' }),
  limit: z.coerce.number().int().min(1).max(100).default(20).openapi({ description: 'How many at most.' }),
} as const

/** A page of a list as OpenAI's clients read it. */
export interface ListPage<Item> {
  readonly object: 'list'
  readonly data: readonly Item[]
  readonly first_id: string | null
  readonly last_id: string | null
  readonly has_more: boolean
}

/** The page that begins behind `after` in a list that is in order already; empty where the list does not have `after`. */
export function pageOf<Item extends { readonly id?: unknown }>(
  items: readonly Item[],
  { after, limit }: { readonly after?: string | undefined; readonly limit: number },
): ListPage<Item> {
  const at = after === undefined ? -1 : items.findIndex(({ id }) => id === after)
  const rest = after !== undefined && at === -1 ? [] : items.slice(at + 1)
  return listPage(rest.slice(0, limit), rest.length > limit)
}

/** A page of what was found. */
export function listPage<Item extends { readonly id?: unknown }>(
  data: readonly Item[],
  hasMore: boolean,
): ListPage<Item> {
  const idOf = (item: Item | undefined) => (item === undefined ? null : String(item.id))
  return { object: 'list', data, first_id: idOf(data[0]), last_id: idOf(data.at(-1)), has_more: hasMore }
}

/** A page in the API's description. */
export function pageSchema(name: string) {
  return z
    .object({
      object: z.literal('list'),
      data: z.array(z.looseObject({ id: z.string() })),
      first_id: z.string().nullable(),
      last_id: z.string().nullable(),
      has_more: z.boolean(),
    })
    .openapi(name)
}
