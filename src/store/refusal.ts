/** The store refused a change by a rule of ours or of the schema, and kept nothing of it. The message says which rule. */
export class StoreRefused extends Error {
  override name = 'StoreRefused'
}
