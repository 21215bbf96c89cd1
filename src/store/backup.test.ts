import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { backUp } from './backup.ts'
import { acquireHomeLock } from './home-lock.ts'
import { MIGRATIONS } from './migrations.ts'
import { migrate } from './open-database.ts'
import { restore } from './restore.ts'
import { openStore, type Store } from './store.ts'
import { addCredit, CHARGE, NOW_MS, settlement, setUp, withPath } from './testing.ts'

const LATER_MS = Date.UTC(2026, 1, 1, 8, 30)
const REPLACED = '.replaced-2026-02-01T08-30-00-000Z'

/** Runs with a home that has books of three settlements and a pepper; no store is open. */
function withHome(run: (home: string, folder: string) => Promise<void> | void): Promise<void> {
  return withPath(async path => {
    const folder = dirname(path)
    const home = join(folder, 'home')
    mkdirSync(home, { mode: 0o700 })
    writeFileSync(join(home, 'pepper'), 'pepper of the home\n', { mode: 0o600 })
    await withStoreAt(home, async store => {
      await setUp(store)
      for (const id of ['req_1', 'req_2', 'req_3']) await store.settle(settlement(id))
    })
    await run(home, folder)
  })
}

async function withStoreAt<Result>(home: string, run: (store: Store) => Promise<Result>): Promise<Result> {
  const store = await openStore({ path: join(home, 'headrace.db') })
  try {
    return await run(store)
  } finally {
    await store.close()
  }
}

const make = (home: string, target: string, pepper = false) =>
  backUp({ databasePath: join(home, 'headrace.db'), target, pepperPath: pepper ? join(home, 'pepper') : null })

function rows(path: string, sql: string): unknown[] {
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    return database.prepare(sql).all()
  } finally {
    database.close()
  }
}

test('a backup holds the books, checked, for their owner alone, and nothing else is left', () =>
  withHome((home, folder) => {
    const made = make(home, join(folder, 'copy.db'))
    assert.deepEqual(made.verification, { ok: true, transfers: 4, settlements: 3, problems: [] })
    assert.deepEqual(
      [made.path, made.schema, made.newest?.settledMs, made.bytes],
      [join(folder, 'copy.db'), MIGRATIONS.length, NOW_MS, statSync(made.path).size],
    )
    assert.equal(statSync(made.path).mode & 0o777, 0o600)
    assert.deepEqual(readdirSync(folder).sort(), ['copy.db', 'home'])
  }))

test('a whole backup is a folder with the pepper in it', () =>
  withHome((home, folder) => {
    make(home, join(folder, 'copy'), true)
    assert.deepEqual(readdirSync(join(folder, 'copy')).sort(), ['headrace.db', 'pepper'])
    assert.equal(readFileSync(join(folder, 'copy', 'pepper'), 'utf8'), 'pepper of the home\n')
    for (const name of ['', 'headrace.db', 'pepper'])
      assert.equal(statSync(join(folder, 'copy', name)).mode & 0o077, 0, name)
  }))

test('while settlements go on a backup is a prefix of them, and they do not wait for it', () =>
  withHome(async (home, folder) => {
    await withStoreAt(home, async store => {
      let settled = 0
      const acknowledged: string[] = []
      let going = true
      const traffic = (async () => {
        while (going) {
          const ids = Array.from({ length: 20 }, () => `req_t${String(settled++).padStart(7, '0')}`)
          await Promise.all(ids.map(id => store.settle(settlement(id))))
          acknowledged.push(...ids)
        }
      })()
      while (acknowledged.length < 200) await new Promise(setImmediate)
      const before = acknowledged.length
      await inThread(join(home, 'headrace.db'), join(folder, 'copy.db'))
      const during = acknowledged.length - before
      going = false
      await traffic
      assert.ok(during > 0, 'nothing settled while the copy was made')
      const copied = rows(
        join(folder, 'copy.db'),
        "SELECT request_id FROM usage WHERE request_id GLOB 'req_t*' ORDER BY 1",
      )
      assert.ok(copied.length >= before, 'what was acknowledged before is in it')
      assert.ok(copied.length <= acknowledged.length)
      assert.deepEqual(
        copied.map(row => (row as { request_id: string }).request_id),
        acknowledged.slice(0, copied.length),
      )
      assert.deepEqual((await store.verify()).problems, [])
    })
  }))

/** Makes a backup as another process would: beside this thread, which goes on settling. */
function inThread(databasePath: string, target: string): Promise<void> {
  const code = `import { backUp } from ${JSON.stringify(new URL('./backup.ts', import.meta.url).href)}
    import { workerData } from 'node:worker_threads'
    backUp(workerData)`
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
    workerData: { databasePath, target, pepperPath: null },
  })
  return new Promise((resolve, reject) => {
    worker.on('error', reject)
    worker.on('exit', () => resolve())
  })
}

/** What cannot be backed up is refused, and leaves nothing behind. */
function refusedBackup(name: string, prepare: (home: string, target: string) => void, message: RegExp): void {
  test(name, () =>
    withHome((home, folder) => {
      const target = join(folder, 'copy.db')
      prepare(home, target)
      const before = readdirSync(folder).sort()
      assert.throws(() => make(home, target, name.includes('pepper')), message)
      assert.deepEqual(readdirSync(folder).sort(), before)
    }),
  )
}

refusedBackup(
  'a backup replaces nothing',
  (_, target) => writeFileSync(target, 'x'),
  /exists already\. Choose another name/,
)
refusedBackup(
  'a home without a database',
  home => removeAll(home, 'headrace.db'),
  /There is no database at .*; nothing was backed up/,
)
refusedBackup(
  'a whole backup needs the pepper',
  home => removeAll(home, 'pepper'),
  /There is no .*pepper, without which/,
)

test('a backup makes no folders', () =>
  withHome((home, folder) => {
    assert.throws(() => make(home, join(folder, 'none', 'copy.db')), /There is no folder .*none\. Create it first/)
  }))

function removeAll(home: string, name: string): void {
  for (const file of readdirSync(home)) if (file.startsWith(name)) rmSync(join(home, file))
}

test('books that do not balance are kept under another name', () =>
  withHome((home, folder) => {
    corrupt(join(home, 'headrace.db'))
    assert.throws(
      () => make(home, join(folder, 'copy.db')),
      /do not balance; it is kept as .*copy\.db\.unsound\.\nThe balance of/,
    )
    assert.deepEqual(readdirSync(folder).sort(), ['copy.db.unsound', 'home'])
  }))

test('a backup brings a new home back to where it was', () =>
  withHome(async (home, folder) => {
    make(home, join(folder, 'copy'), true)
    const other = join(folder, 'other')
    const restored = restore(join(folder, 'copy'), other, LATER_MS)
    assert.deepEqual(
      [restored.replacedPath, restored.loss, restored.pepper, restored.verification.settlements],
      [null, null, 'restored', 3],
    )
    assert.equal(readFileSync(join(other, 'pepper'), 'utf8'), 'pepper of the home\n')
    assert.equal(statSync(join(other, 'headrace.db')).mode & 0o777, 0o600)
    await withStoreAt(other, async store => {
      assert.equal((await store.loadState()).balances.get('org_a'), 1_000_000_000n - 3n * CHARGE)
      await store.settle(settlement('req_4'))
      assert.deepEqual((await store.verify()).problems, [])
    })
  }))

test('what is replaced stays beside, and what is lost is told', () =>
  withHome(async (home, folder) => {
    make(home, join(folder, 'copy.db'))
    await withStoreAt(home, async store => {
      await store.settle(settlement('req_4'))
      await store.settle(settlement('req_5'))
      await addCredit(store, 'org_a', 7n, 'later')
    })
    const { loss, replacedPath, pepper, newest } = restore(join(folder, 'copy.db'), home, LATER_MS)
    assert.deepEqual(loss, { settlements: 2, chargeNanodollars: 2n * CHARGE, transfers: 1 })
    assert.deepEqual([replacedPath, pepper, newest?.settledMs], [join(home, `headrace.db${REPLACED}`), 'kept', NOW_MS])
    assert.deepEqual(readdirSync(home).sort(), ['headrace.db', `headrace.db${REPLACED}`, 'lock', 'pepper'])
    assert.equal(rows(replacedPath as string, 'SELECT 1 FROM usage').length, 5)
    assert.equal(rows(join(home, 'headrace.db'), 'SELECT 1 FROM usage').length, 3)
    await withStoreAt(home, async store => assert.equal((await store.verify()).ok, true))
  }))

test('settlements that a killed server left in the log stay with the database that is replaced', () =>
  withHome((home, folder) => {
    make(home, join(folder, 'copy.db'))
    // A log that was never carried over: as after kill -9.
    const killed = join(folder, 'killed')
    mkdirSync(killed)
    const database = new DatabaseSync(join(home, 'headrace.db'))
    database.exec("PRAGMA journal_mode = WAL; INSERT INTO names (name) VALUES ('only in the log')")
    for (const suffix of ['', '-wal', '-shm'])
      copyFileSync(join(home, `headrace.db${suffix}`), join(killed, `headrace.db${suffix}`))
    database.close()
    const { replacedPath } = restore(join(folder, 'copy.db'), killed, LATER_MS)
    const find = "SELECT 1 FROM names WHERE name = 'only in the log'"
    assert.equal(rows(replacedPath as string, find).length, 1)
    assert.equal(rows(join(killed, 'headrace.db'), find).length, 0)
  }))

test('a database that is beyond reading can be replaced', () =>
  withHome(async (home, folder) => {
    make(home, join(folder, 'copy.db'))
    writeFileSync(join(home, 'headrace.db'), 'this was a database once')
    writeFileSync(join(home, 'headrace.db-wal'), 'and this its log')
    const { loss, replacedPath } = restore(join(folder, 'copy.db'), home, LATER_MS)
    assert.equal(loss, null)
    assert.equal(readFileSync(replacedPath as string, 'utf8'), 'this was a database once')
    assert.equal(readFileSync(`${replacedPath}-wal`, 'utf8'), 'and this its log')
    await withStoreAt(home, async store => assert.equal((await store.verify()).settlements, 3))
  }))

test('another pepper is kept beside the one of the backup', () =>
  withHome((home, folder) => {
    make(home, join(folder, 'copy'), true)
    writeFileSync(join(home, 'pepper'), 'another\n')
    assert.equal(restore(join(folder, 'copy'), home, LATER_MS).pepper, 'restored')
    assert.equal(readFileSync(join(home, 'pepper'), 'utf8'), 'pepper of the home\n')
    assert.equal(readFileSync(join(home, `pepper${REPLACED}`), 'utf8'), 'another\n')
    make(home, join(folder, 'plain.db'))
    assert.equal(restore(join(folder, 'plain.db'), join(folder, 'new'), LATER_MS).pepper, 'none')
  }))

test('a backup of an older schema is checked as what it will become, and brought up to date by the next start', () =>
  withHome(async (home, folder) => {
    const old = join(folder, 'old.db')
    const database = new DatabaseSync(old)
    migrate(database, null, MIGRATIONS.slice(0, 2))
    database.exec("INSERT INTO orgs VALUES ('org_a', 'Acme', 0, 1)")
    database.close()
    const bytes = readFileSync(old)
    const restored = restore(old, home, LATER_MS)
    assert.deepEqual([restored.schema, restored.loss, restored.verification.ok], [2, null, true])
    assert.deepEqual(readFileSync(old), bytes)
    assert.deepEqual(readdirSync(home).sort(), ['headrace.db', `headrace.db${REPLACED}`, 'lock', 'pepper'])
    await withStoreAt(home, async store => assert.equal((await store.loadState()).orgs.length, 1))
  }))

/** A file that cannot be restored is refused, and the home stays as it was. */
function refusedRestore(
  name: string,
  spoil: (copy: string, home: string) => (() => void) | unknown,
  message: RegExp,
): void {
  test(name, () =>
    withHome(async (home, folder) => {
      const copy = join(folder, 'copy.db')
      make(home, copy)
      const undo = spoil(copy, home)
      const before = readFileSync(join(home, 'headrace.db'))
      assert.throws(() => restore(copy, home, LATER_MS), message)
      if (typeof undo === 'function') undo()
      assert.deepEqual(readFileSync(join(home, 'headrace.db')), before)
      assert.deepEqual(
        // A log without content is what reading leaves beside a database that no server runs on.
        readdirSync(home).filter(file => !/^lock|-wal$|-shm$/.test(file)),
        ['headrace.db', 'pepper'],
      )
    }),
  )
}

refusedRestore(
  'a backup with a damaged page',
  copy => {
    const bytes = readFileSync(copy)
    bytes.fill(0x5a, 4096 * 3, 4096 * 9)
    writeFileSync(copy, bytes)
  },
  /copy\.db (do not balance; nothing was changed|is damaged)|malformed/,
)
refusedRestore(
  'a backup that was cut short',
  copy => writeFileSync(copy, readFileSync(copy).subarray(0, 9000)),
  /damaged|malformed/,
)
refusedRestore(
  'a file of another kind',
  copy => writeFileSync(copy, 'not a database at all, but long enough for a header'.repeat(99)),
  /is damaged, or no database of Headrace/,
)
refusedRestore('an empty file', copy => writeFileSync(copy, ''), /is no database of Headrace/)
refusedRestore('a file that is not there', copy => rmSync(copy), /There is no backup at/)
refusedRestore(
  'books that do not balance',
  copy => corrupt(copy),
  /do not balance; nothing was changed\.\nThe balance of/,
)
refusedRestore(
  'a backup of a newer version',
  copy => run(copy, `PRAGMA user_version = ${MIGRATIONS.length + 1}`),
  /has schema \d+; this version of Headrace knows up to/,
)
refusedRestore('a database in use', copy => writeFileSync(`${copy}-wal`, 'x'), /is a database in use, not a backup/)
refusedRestore(
  'a home that a server runs on',
  (_, home) => {
    const lock = acquireHomeLock(home)
    return () => lock.release()
  },
  /is in use by another process/,
)

function corrupt(path: string): void {
  run(path, 'UPDATE balances SET nanodollars = nanodollars + 1')
}

function run(path: string, sql: string): void {
  const database = new DatabaseSync(path)
  database.exec(sql)
  database.close()
}
