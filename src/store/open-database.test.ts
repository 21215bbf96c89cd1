import assert from 'node:assert/strict'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { MIGRATIONS } from './migrations.ts'
import { migrate, openForWriting } from './open-database.ts'
import { openStore } from './store.ts'
import { settlement, setUp, withPath } from './testing.ts'
import { StoreOpenError } from './worker-link.ts'

const MORE = [
  ...MIGRATIONS,
  { name: 'colours', sql: "CREATE TABLE colours (name TEXT); INSERT INTO colours VALUES ('red')" },
]
const BROKEN = [...MIGRATIONS, { name: 'broken', sql: 'CREATE TABLE halfway (x); SELECT x FROM nowhere' }]

test('a new database gets all migrations and no backup', () =>
  withPath(path => {
    const database = openForWriting(path)
    assert.equal(versionOf(database), MIGRATIONS.length)
    database.close()
    for (let version = 1; version <= MIGRATIONS.length; version++) assert.ok(!existsSync(backupOf(path, version)))
  }))

test('the files are for their owner alone', { skip: process.platform === 'win32' }, () =>
  withPath(path => {
    writeFileSync(path, '', { mode: 0o644 })
    const database = openForWriting(path)
    database.exec("INSERT INTO orgs (id, name, disabled, created_ms) VALUES ('org_a', 'Acme', 0, 1)")
    migrate(database, path, MORE)
    for (const each of [path, `${path}-wal`, `${path}-shm`, backupOf(path, MORE.length)]) {
      assert.equal(statSync(each).mode & 0o777, 0o600, each)
    }
    database.close()
  }),
)

test('every older schema comes up to date with its rows', () =>
  withPath(path => {
    for (let version = 1; version < MIGRATIONS.length; version++) {
      const oldPath = `${path}-${version}`
      const database = new DatabaseSync(oldPath)
      migrate(database, oldPath, MIGRATIONS.slice(0, version))
      database.exec("INSERT INTO orgs (id, name, disabled, created_ms) VALUES ('org_a', 'Acme', 0, 1)")
      migrate(database, oldPath)
      assert.equal(versionOf(database), MIGRATIONS.length)
      assert.equal(database.prepare('SELECT name FROM orgs').get()?.name, 'Acme')
      database.close()
    }
  }))

test('a database with rows is copied before a migration, whole', () =>
  withPath(async path => {
    const store = await openStore({ path })
    await setUp(store)
    await store.settle(settlement('req_1'))
    await store.close()
    const version = MIGRATIONS.length + 1
    // What a crash while copying leaves behind is not taken for a backup.
    writeFileSync(`${backupOf(path, version)}.unfinished`, 'half a copy')

    const database = new DatabaseSync(path)
    migrate(database, path, MORE)
    assert.equal(database.prepare('SELECT name FROM colours').get()?.name, 'red')
    database.close()

    const backup = new DatabaseSync(backupOf(path, version))
    assert.equal(versionOf(backup), MIGRATIONS.length)
    assert.equal(backup.prepare('SELECT request_id FROM usage').get()?.request_id, 'req_1')
    backup.close()
    assert.ok(!existsSync(`${backupOf(path, version)}.unfinished`))
  }))

test('a migration that fails leaves the database as it was, and says which', () =>
  withPath(path => {
    const database = openForWriting(path)
    assert.throws(
      () => migrate(database, path, BROKEN),
      /Migration \d+ \(broken\) of .* failed, and nothing of it was kept: no such table/,
    )
    assert.equal(versionOf(database), MIGRATIONS.length)
    assert.equal(database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'halfway'").get(), undefined)
    migrate(database, path, MORE)
    assert.equal(versionOf(database), MORE.length)
    database.close()
  }))

test('a database of a newer version is refused with the cure', () =>
  withPath(async path => {
    const database = openForWriting(path)
    migrate(database, path, MORE)
    database.close()
    await assert.rejects(openStore({ path }), error => {
      assert.ok(error instanceof StoreOpenError)
      assert.match(
        error.message,
        /has schema \d+; this version of Headrace knows up to \d+\. Use the newer version, or restore a backup/,
      )
      return true
    })
  }))

test('rows of the books can be added, and not changed or removed', () =>
  withPath(async path => {
    const store = await openStore({ path })
    await setUp(store)
    await store.settle(settlement('req_1'))
    await store.close()
    const database = new DatabaseSync(path)
    for (const sql of [
      'UPDATE posted_transfers SET nanodollars = 1',
      'DELETE FROM posted_transfers',
      'UPDATE usage_2026_01 SET charge = 0',
      'DELETE FROM usage_2026_01',
      'UPDATE prices SET input_picodollars = 0',
      'UPDATE prices SET to_ms = 5; UPDATE prices SET to_ms = 6',
      'DELETE FROM prices',
    ]) {
      assert.throws(() => database.exec(sql), /never|keeps it/, sql)
    }
    database.close()
  }))

function versionOf(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.user_version)
}

function backupOf(path: string, version: number): string {
  return `${path}.before-${version}`
}
