import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { acquireHomeLock, HomeLockedError } from './home-lock.ts'

const [, , role, childHome = ''] = process.argv

if (role === 'child') {
  acquireHomeLock(childHome)
  process.stdout.write('locked\n')
  setInterval(() => undefined, 60_000)
} else defineTests()

function defineTests(): void {
  test('one process at a time, and none after kill -9', () =>
    withHome(async home => {
      const child = spawn(process.execPath, [import.meta.filename, 'child', home], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(child.stdout, 'data')
      assert.throws(
        () => acquireHomeLock(home),
        error => {
          assert.ok(error instanceof HomeLockedError)
          assert.match(error.message, new RegExp(`in use by another process \\(process ${child.pid}, since 20.*\\)`))
          return true
        },
      )
      child.kill('SIGKILL')
      await once(child, 'exit')
      acquireHomeLock(home).release()
    }))

  test('a lock that was released can be taken again', () =>
    withHome(home => {
      const first = acquireHomeLock(home)
      assert.throws(() => acquireHomeLock(home), HomeLockedError)
      first.release()
      const second = acquireHomeLock(home)
      assert.throws(() => acquireHomeLock(home), HomeLockedError)
      second.release()
    }))

  test('what is not a lock held by another says so', () =>
    withHome(home => {
      assert.throws(() => acquireHomeLock(join(home, 'missing')), notLocked)
      writeFileSync(join(home, 'lock'), 'somebody’s notes, in the way of the lock. '.repeat(40))
      assert.throws(() => acquireHomeLock(home), notLocked)
    }))
}

function notLocked(error: Error): boolean {
  assert.ok(!(error instanceof HomeLockedError))
  assert.match(error.message, /cannot be (opened|locked)/)
  return true
}

async function withHome(run: (home: string) => Promise<void> | void): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), 'headrace-lock-'))
  try {
    await run(home)
  } finally {
    rmSync(home, { recursive: true })
  }
}
