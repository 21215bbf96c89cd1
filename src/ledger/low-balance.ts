/**
 * Watches for orgs whose balance falls below a threshold: tells once, and again only after the balance was at or above it. It is
 * the balance that counts and not what is available, since holds come and go with every request and would cross any threshold
 * again and again.
 */
export class LowBalance {
  readonly #threshold: bigint
  readonly #onLow: (orgId: string, balanceNanodollars: bigint) => void
  /** Orgs that are below, as was told. */
  readonly #low = new Set<string>()

  /** Orgs that start below the threshold count as told of: a restart tells nothing again. `balances` is by org id, nanodollars. */
  constructor(
    thresholdNanodollars: bigint,
    balances: ReadonlyMap<string, bigint>,
    onLow: (orgId: string, balanceNanodollars: bigint) => void,
  ) {
    this.#threshold = thresholdNanodollars
    this.#onLow = onLow
    for (const [orgId, balance] of balances) if (balance < thresholdNanodollars) this.#low.add(orgId)
  }

  /** To be called after each change; costs one comparison where all is well. */
  balanceIs(orgId: string, nanodollars: bigint): void {
    if (nanodollars >= this.#threshold) {
      if (this.#low.size > 0) this.#low.delete(orgId)
    } else if (!this.#low.has(orgId)) {
      this.#low.add(orgId)
      this.#onLow(orgId, nanodollars)
    }
  }
}
