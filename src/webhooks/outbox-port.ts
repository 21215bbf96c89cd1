/** One event on its way to one endpoint. */
export interface Delivery {
  /** Its place in the order; events of an endpoint are delivered by it. */
  readonly seq: number
  /** Sent as `webhook-id`, the same on every try. */
  readonly id: string
  readonly endpoint: string
  readonly type: string
  /** JSON, as it is sent. */
  readonly body: string
  readonly state: 'pending' | 'delivered' | 'failed'
  readonly tries: number
  readonly createdMs: number
  /** From when the time for trying counts. */
  readonly sinceMs: number
  /** Not tried before. */
  readonly nextMs: number
  readonly triedMs: number | null
  /** What came of the last try, for people. */
  readonly outcome: string
}

/** Where deliveries are kept until they are over, whatever becomes of the process. Promises resolve once changes are on disk. */
export interface Outbox {
  /** Appends; answers how many were dropped because too many wait for their endpoint. */
  add(deliveries: readonly Pick<Delivery, 'id' | 'endpoint' | 'type' | 'body' | 'createdMs'>[]): Promise<number>
  /** The oldest delivery that waits for an endpoint. */
  head(endpoint: string): Promise<Delivery | null>
  tried(
    seq: number,
    tried: Pick<Delivery, 'state' | 'nextMs' | 'outcome'> & { readonly triedMs: number },
  ): Promise<void>
  list(selection: {
    readonly state?: Delivery['state']
    readonly beforeSeq?: number
    readonly limit: number
  }): Promise<readonly Delivery[]>
  /** How many wait for each endpoint. */
  pending(): Promise<ReadonlyMap<string, number>>
  /** Lets deliveries that failed wait again; answers how many. `id` restricts to one event. */
  retry(id: string | null, nowMs: number): Promise<number>
  /** Fails what waits for an endpoint that is not among these; answers how many. */
  failOthers(endpoints: readonly string[], nowMs: number): Promise<number>
}
