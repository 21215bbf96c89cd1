import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { UpstreamFailure } from '../inference/event.ts'
import type { Ending } from '../ledger/journal.ts'
import { attemptVerdict } from './attempt-verdict.ts'

test('an attempt tells of its target’s health only what it showed', () => {
  const broken: UpstreamFailure = { reason: 'disconnected', message: '', retryable: true }
  const check = (
    ending: Ending,
    outputBegan: boolean,
    expected: string | null | undefined,
    failure: UpstreamFailure | null = null,
    queuesOwnWork?: boolean,
  ) => {
    const verdict = attemptVerdict({ queuesOwnWork }, { ending, failure }, outputBegan)
    assert.equal(verdict?.reason ?? verdict, expected, `${ending} ${outputBegan} ${queuesOwnWork}`)
  }
  check('completed', true, null)
  check('completed', false, null)
  check('failed', true, 'disconnected', broken)
  check('failed', false, 'disconnected', broken)
  check('timed_out', true, null)
  check('timed_out', false, 'timeout')
  check('timed_out', false, undefined, null, true)
  check('cancelled', true, null)
  check('cancelled', false, undefined)
  check('aborted', false, undefined)
  check('exhausted', true, null)
})
