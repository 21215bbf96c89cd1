import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Price } from '../inference/price.ts'
import { priceAt, windowAt } from './calendar.ts'
import { type TariffDocument, tariffOfDocument, type WindowDocument } from './document.ts'
import { anyInstant, anyTariff, isOpenByHand } from './testing.ts'
import { chargeOf } from './worth.ts'

const HOUR_MS = 3_600_000
const ONE_TOKEN = { inputTokens: 1, cachedInputTokens: 0, cacheWriteTokens: 0, outputTokens: 0, reasoningTokens: 0 }

/** Whether a window is open at the times. */
function check(name: string, window: Pick<WindowDocument, 'days' | 'start' | 'end'>, open: string[], shut: string[]) {
  test(name, () => {
    const { terms } = tariffOfDocument({ input: '1', output: '1', windows: [{ ...window, multiplier: '2' }] })
    const isOpen = (time: string) => windowAt(terms?.windows ?? [], Date.parse(time)) !== undefined
    for (const time of open) assert.ok(isOpen(time), `${time} is in`)
    for (const time of shut) assert.ok(!isOpen(time), `${time} is out`)
  })
}

check(
  'a window is open from its start up to its end',
  { start: '01:00', end: '04:00' },
  ['2026-03-25T01:00:00Z', '2026-03-25T03:59:59.999Z'],
  ['2026-03-25T00:59:59.999Z', '2026-03-25T04:00:00Z'],
)
check(
  'a window over midnight belongs to the day it begins on',
  { days: ['fri'], start: '22:00', end: '02:00' },
  ['2026-03-27T22:00:00Z', '2026-03-28T01:59:59Z'],
  ['2026-03-27T01:00:00Z', '2026-03-28T02:00:00Z', '2026-03-28T22:00:00Z'],
)
check(
  'a window over the end of the week',
  { days: ['sun'], start: '16:30', end: '00:30' },
  ['2026-03-29T16:30:00Z', '2026-03-30T00:29:59Z'],
  ['2026-03-29T00:00:00Z', '2026-03-30T00:30:00Z', '2026-03-30T16:30:00Z'],
)
check(
  'a window that ends when it starts lasts a day',
  { days: ['mon'], start: '12:00', end: '12:00' },
  ['2026-03-23T12:00:00Z', '2026-03-24T11:59:00Z'],
  ['2026-03-23T11:59:00Z', '2026-03-24T12:00:00Z'],
)
check(
  'a whole day',
  { days: ['sat'], start: '00:00', end: '24:00' },
  ['2026-03-28T00:00:00Z', '2026-03-28T23:59:59Z'],
  ['2026-03-27T23:59:59Z', '2026-03-29T00:00:00Z'],
)
check(
  'before 1970',
  { days: ['wed'], start: '23:00', end: '24:00' },
  ['1969-12-31T23:30:00Z'],
  ['1969-12-31T22:59:59Z'],
)

test('at any instant the window is the one that the calendar says', () => {
  fc.assert(
    fc.property(anyTariff, anyInstant, (document, atMs) => {
      const { terms } = tariffOfDocument(document)
      const found = windowAt(terms?.windows ?? [], atMs)
      const byHand = document.windows?.find(window => isOpenByHand(window, atMs))
      assert.equal(found === undefined, byHand === undefined)
    }),
  )
})

test('no change of clocks anywhere moves a window', () => {
  const price: TariffDocument = {
    input: '1',
    output: '1',
    windows: [{ start: '01:00', end: '03:00', multiplier: '2' }],
  }
  const tariff = tariffOfDocument(price)
  const before = process.env.TZ
  try {
    for (const zone of ['UTC', 'America/New_York', 'Europe/Berlin', 'Australia/Lord_Howe']) {
      process.env.TZ = zone
      // Both changes of 2026 in each of the zones.
      for (const day of ['2026-03-08', '2026-03-29', '2026-04-05', '2026-10-04', '2026-10-25', '2026-11-01']) {
        for (let hour = -24; hour < 48; hour++) {
          const atMs = Date.parse(`${day}T00:00:00Z`) + hour * HOUR_MS
          const inUtc = new Date(atMs).getUTCHours()
          const peak = inUtc === 1 || inUtc === 2
          assert.equal(chargeOf(tariff, ONE_TOKEN, atMs, 'standard'), peak ? 2_000n : 1_000n, `${zone} ${day} ${hour}`)
        }
      }
    }
  } finally {
    if (before === undefined) delete process.env.TZ
    else process.env.TZ = before
  }
})

test('the price in force is the one whose time it is, a group’s own before that for everybody', () => {
  const row = (id: string, fromMs: number, toMs: number | null, group?: string): Price => ({
    id,
    modelId: 'm',
    group,
    fromMs,
    toMs,
    ...tariffOfDocument({ input: '1', output: '1' }),
  })
  const prices = [row('old', 0, 10), row('vip', 5, 15, 'vip'), row('new', 10, null), row('other', 0, null, 'other')]
  const at = (atMs: number, group?: string | null) => priceAt(prices, atMs, group)?.id
  assert.deepEqual([at(-1), at(0), at(9), at(10)], [undefined, 'old', 'old', 'new'])
  assert.deepEqual([at(4, 'vip'), at(5, 'vip'), at(14, 'vip'), at(15, 'vip')], ['old', 'vip', 'vip', 'new'])
  assert.deepEqual([at(7, 'nobody'), at(7, null)], ['old', 'old'])
})
