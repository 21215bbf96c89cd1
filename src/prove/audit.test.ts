import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AuditResult, audit } from './audit.ts'
import type { BooksPort, RequestTransfer, SettledRequest } from './books-port.ts'
import type { Seen, Told } from './exchange.ts'
import { planRequest } from './plan.ts'
import { worthNanodollars } from './price.ts'
import { reportOf } from './report.ts'
import { Tally } from './tally.ts'

const SIZE = { clients: 4, requests: 100, abortShare: 0, deathShare: 0, kills: 0, seed: 1 }
const ANSWERS = 5

/** A run of five answers that went well, and books that say so. Tests falsify one thing of it. */
class World {
  readonly tally = new Tally()
  readonly rows: SettledRequest[] = []
  readonly transfers = new Map<string, RequestTransfer[]>()
  problems: string[] = []
  interrupted: string[] = []
  openHolds = 0
  spentNanodollars = 0n
  worstTakenNanodollars = 0n
  samples = 1
  serverEnd: number | NodeJS.Signals = 0

  constructor() {
    for (let i = 0; i < ANSWERS; i++) {
      const plan = planRequest(SIZE, i)
      const counts = { input: 100 + i, cached: 16, output: plan.maxTokens * plan.choices }
      this.row({ requestId: `req_${i}`, ...counts, stream: plan.stream })
      const told = { ...counts, costNanodollars: worthNanodollars(counts) }
      this.tally.add(plan, seen({ requestId: `req_${i}`, told }))
      this.tally.close(seen({}))
    }
  }

  row(fields: Partial<SettledRequest>): void {
    const row = {
      requestId: 'req_x',
      ending: 'completed' as const,
      stream: true,
      input: 100,
      cached: 0,
      output: 10,
      isOutputReported: true,
      overrunNanodollars: 0n,
      heldNanodollars: 10n ** 9n,
      ...fields,
    }
    const chargeNanodollars = fields.chargeNanodollars ?? worthNanodollars(row)
    this.rows.push({ ...row, chargeNanodollars })
    this.spentNanodollars += chargeNanodollars
    if (chargeNanodollars > 0n) this.transfers.set(row.requestId, [transfer(chargeNanodollars)])
  }

  change(index: number, fields: Partial<SettledRequest>): void {
    this.rows[index] = { ...(this.rows[index] as SettledRequest), ...fields }
  }

  audit(): Promise<AuditResult> {
    const { rows, transfers, problems, interrupted } = this
    const books: BooksPort = {
      createKey: () => Promise.reject(new Error('not asked for')),
      keyMoney: async () => ({ spentNanodollars: this.spentNanodollars, heldNanodollars: 0n }),
      orgCharged: async () => rows.reduce((sum, row) => sum + row.chargeNanodollars, 0n),
      openHolds: async () => this.openHolds,
      async *settled() {
        yield* rows
      },
      transfers: async requestId => transfers.get(requestId) ?? [],
      verify: async () => ({
        transfers: rows.length,
        settlements: new Set(rows.map(row => row.requestId)).size,
        problems,
      }),
      async *interrupted() {
        yield* interrupted
      },
      close: async () => {},
    }
    return audit(this.tally, books, 'key_1')
  }
}

function transfer(amountNanodollars: bigint): RequestTransfer {
  return { kind: 'charge', debit: 'org:org_1', credit: 'operator:revenue', amountNanodollars }
}

function seen(fields: Partial<Seen>): Seen {
  return {
    status: 200,
    requestId: null,
    errorCode: null,
    isWhole: true,
    isDone: true,
    told: null,
    cut: null,
    ...fields,
  }
}

const FINDINGS = ['uncharged', 'chargedTwice', 'wrongAmount', 'unasked', 'unbalanced'] as const

/** Falsifies a world in one way, and expects these findings and no others. */
function check(
  name: string,
  falsify: (world: World) => void,
  expected: Partial<Record<(typeof FINDINGS)[number], [count: number, shown: RegExp]>>,
): void {
  test(`the audit: ${name}`, async () => {
    const world = new World()
    falsify(world)
    const result = await world.audit()
    for (const finding of FINDINGS) {
      const [count, shown] = expected[finding] ?? [0, /^$/]
      const { count: found, shown: texts } = result[finding]
      assert.equal(found, count, `${finding}: ${texts.join('; ')}`)
      assert.match(texts.join('; '), shown)
    }
  })
}

check('finds nothing where all is well', () => {}, {})
check(
  'a row that the books lost',
  world => {
    const [row] = world.rows.splice(2, 1)
    world.spentNanodollars -= (row as SettledRequest).chargeNanodollars
  },
  { uncharged: [1, /req_2 was seen whole and never settled/] },
)
check('a charge without its transfer', world => world.transfers.delete('req_1'), {
  uncharged: [1, /req_1 has no transfer of its charge/],
})
check(
  'two transfers of one charge',
  world => {
    const [one] = world.transfers.get('req_3') as [RequestTransfer]
    world.transfers.set('req_3', [one, one])
  },
  { chargedTwice: [1, /req_3 has 2 charges/] },
)
check(
  'two settlements of one request',
  world => {
    const row = world.rows[0] as SettledRequest
    world.rows.push(row)
    world.spentNanodollars += row.chargeNanodollars
  },
  { chargedTwice: [1, /req_0 is settled twice/] },
)
check(
  'a transfer of another amount',
  world => {
    world.transfers.set('req_4', [transfer(1n)])
  },
  { wrongAmount: [1, /req_4 is charged \d+ n\$, and its transfer moves 1 n\$/] },
)
check(
  'a charge that is one nanodollar off',
  world => {
    world.change(0, { chargeNanodollars: (world.rows[0] as SettledRequest).chargeNanodollars + 1n })
    world.spentNanodollars++
    world.transfers.set('req_0', [transfer((world.rows[0] as SettledRequest).chargeNanodollars)])
  },
  { wrongAmount: [2, /for what is worth \d+ n\$.*its client was told/] },
)
check(
  'a whole answer for nothing',
  world => {
    world.spentNanodollars -= (world.rows[0] as SettledRequest).chargeNanodollars
    world.change(0, { chargeNanodollars: 0n })
    world.transfers.delete('req_0')
  },
  { wrongAmount: [2, /charged 0 n\$ .* for what is worth/] },
)
check('more than was held', world => world.change(0, { heldNanodollars: 1n }), {
  wrongAmount: [1, /held only 1 n\$/],
})
check(
  'other counts than the client was told',
  world => {
    world.tally.whole.set('req_0', {
      ...(world.tally.whole.get('req_0') as {
        requestId: string
        stream: boolean
        outputTokensMost: number
        told: Told
      }),
      told: { input: 1, cached: 0, output: 1, costNanodollars: (world.rows[0] as SettledRequest).chargeNanodollars },
    })
  },
  { wrongAmount: [1, /its client was told 1\/0\/1 tokens/] },
)
check(
  'more output than the upstream made',
  world => {
    const row = world.rows[0] as SettledRequest
    world.tally.whole.set('req_0', { requestId: 'req_0', stream: true, outputTokensMost: row.output - 1, told: null })
  },
  { wrongAmount: [1, /output tokens are charged, and \d+ were made/] },
)
check('a whole answer that is written down as left', world => world.change(0, { ending: 'cancelled' }), {
  wrongAmount: [1, /req_0 \(cancelled\): its client saw it whole/],
})
check(
  'a charge for what is free',
  world => {
    world.row({ requestId: 'req_5', ending: 'failed', stream: false })
    world.row({ requestId: 'req_6', ending: 'empty' })
    world.tally.counts.nameless += 2
  },
  { wrongAmount: [2, /req_5 \(failed\).*owes nothing.*req_6 \(empty\).*owes nothing/] },
)
check(
  'what ends before its work is seen is free, or charged whole, and nothing else',
  world => {
    world.row({ requestId: 'req_5', ending: 'cancelled' })
    world.row({ requestId: 'req_6', ending: 'cancelled', chargeNanodollars: 0n })
    world.row({ requestId: 'req_7', ending: 'failed', chargeNanodollars: 0n })
    world.row({ requestId: 'req_8', ending: 'timed_out', chargeNanodollars: 7n })
    world.tally.counts.nameless += 4
  },
  { wrongAmount: [1, /req_8 \(timed_out\): charged 7 n\$/] },
)
check('a settlement that nobody asked for', world => world.row({ requestId: 'req_9' }), {
  unasked: [1, /a request was settled that no client sent/],
})
check(
  'a key whose counter differs from its requests',
  world => {
    world.spentNanodollars++
  },
  { unbalanced: [1, /the key has spent \d+ n\$/] },
)
check('what the ledger finds itself', world => world.problems.push('The balance of org:a is 1.'), {
  unbalanced: [1, /The balance of org:a is 1\./],
})
check('a request that is settled and interrupted', world => world.interrupted.push('req_1'), {
  unbalanced: [1, /req_1 is settled and said to be interrupted/],
})

/** Which claims fail of a report on a world that was falsified so, with a cap that is just spent. */
async function failing(falsify: (world: World) => void, capLess = 0n): Promise<string[]> {
  const world = new World()
  const capNanodollars = world.spentNanodollars - capLess
  world.worstTakenNanodollars = capNanodollars
  for (let i = 0; i < 5; i++) world.tally.close(seen({ status: 402 }))
  falsify(world)
  const report = reportOf({
    size: SIZE,
    capNanodollars,
    durationMs: 1000,
    tally: world.tally,
    runningAtKills: [],
    upstreamDeaths: 0,
    upstreamKills: 0,
    samples: world.samples,
    worstTakenNanodollars: world.worstTakenNanodollars,
    audit: await world.audit(),
    serverEnd: world.serverEnd,
  })
  const names = report.claims.filter(claim => !claim.holds).map(claim => claim.name)
  assert.equal(report.holds, names.length === 0)
  return names
}

test('a report: each claim fails for what speaks against it', async () => {
  assert.deepEqual(await failing(() => {}), [])
  assert.deepEqual(
    await failing(world => {
      world.worstTakenNanodollars++
    }),
    ['Worst overshoot'],
    'the books at some look',
  )
  assert.deepEqual(await failing(() => {}, 1n), ['Worst overshoot'], 'the rows at the end')
  assert.deepEqual(
    await failing(world => {
      world.tally.toldNanodollars++
    }),
    ['Worst overshoot'],
    'what clients were told',
  )
  assert.deepEqual(
    await failing(world => {
      world.samples = 0
    }),
    ['Worst overshoot'],
    'nobody looked',
  )
  assert.deepEqual(await failing(world => world.problems.push('x')), ['Unbalanced'])
  assert.deepEqual(await failing(world => world.transfers.delete('req_1')), ['Seen whole but not charged'])
  assert.deepEqual(
    await failing(world => {
      world.openHolds = 1
    }),
    ['Open holds'],
  )
  assert.deepEqual(
    await failing(world => {
      world.serverEnd = 'SIGKILL'
    }),
    ['The server stopped when asked'],
  )
  assert.deepEqual(
    await failing(world =>
      world.tally.add(planRequest(SIZE, 9), seen({ status: 500, errorCode: 'server_error', isWhole: false })),
    ),
    ['Answers unexplained'],
  )
  assert.deepEqual(
    await failing(world =>
      world.tally.add(planRequest(SIZE, 9), seen({ requestId: 'req_0', isWhole: false, cut: 'left' })),
    ),
    ['Request ids used twice'],
  )
  assert.deepEqual(
    await failing(world => {
      world.tally.counts.refused = 4
    }),
    ['Requests refused'],
  )
  assert.deepEqual(await failing(() => {}, -10_000_000n), ['The cap was spent'])
})
