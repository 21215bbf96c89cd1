/** What reconciling needs of a provider's row. */
export type ProviderField = 'time' | 'model' | 'key' | 'requests' | 'input' | 'cached_input' | 'output' | 'cost'

/** How one provider writes its usage as CSV. */
export interface ProviderFormat {
  /** Where the columns were learned from. */
  readonly source: string
  /** Titles that a column may have, whatever the case; the first that is there counts. */
  readonly columns: Readonly<Partial<Record<ProviderField, readonly string[]>>>
  /** A row is one request, so that requests need no column. */
  readonly rowIsRequest?: boolean
  /** Input stands without what a cache served; the two are added. */
  readonly inputExcludesCached?: boolean
  /** Columns of cost that are in cents. */
  readonly centColumns?: readonly string[]
  /** A row counts one class of tokens: which one stands in a column of its own. */
  readonly byClass?: {
    readonly class: readonly string[]
    readonly units: readonly string[]
    readonly names: Readonly<Record<string, 'input' | 'cached_input' | 'output'>>
  }
}
