import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { processIo } from './io.ts'

test('a file has its name only when it is whole, and only its owner can read it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-io-'))
  try {
    const path = join(folder, 'out.csv')
    const file = await processIo().createFile(path)
    await file.write('a,b\r\n')
    await file.write(Buffer.from('1,2\r\n'))
    assert.ok(!existsSync(path))
    await file.finish()
    assert.equal(readFileSync(path, 'utf8'), 'a,b\r\n1,2\r\n')
    if (process.platform !== 'win32') assert.equal(statSync(path).mode & 0o777, 0o600)
    const other = await processIo().createFile(path)
    await other.write('half')
    await other.abandon()
    assert.equal(readFileSync(path, 'utf8'), 'a,b\r\n1,2\r\n')
    assert.deepEqual(readdirSync(folder), ['out.csv'])
  } finally {
    rmSync(folder, { recursive: true })
  }
})
