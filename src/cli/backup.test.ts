import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MadeBackup, RestoredBackup } from './serve-types.ts'
import { checkGolden, createCli, NOW_MS } from './testing.ts'

const BOOKS = {
  schema: 4,
  verification: { transfers: 1204, settlements: 1200 },
  newest: { requestId: 'req_9', settledMs: NOW_MS },
}
const MADE: MadeBackup = { ...BOOKS, path: '/desk/copy.db', bytes: 2_500_000 }
const RESTORED: RestoredBackup = {
  ...BOOKS,
  replacedPath: '/home/ada/.headrace/headrace.db.replaced-then',
  loss: { settlements: 12, chargeNanodollars: 1_500_000_000n, transfers: 1 },
  pepper: 'kept',
}

/** One command line over a composition that answers as told, and everything that it prints. */
function check(
  name: string,
  line: string,
  { made = {}, restored = {} }: { made?: Partial<MadeBackup>; restored?: Partial<RestoredBackup> } = {},
): void {
  test(`${name}: headrace ${line}`, async () => {
    const cli = await createCli()
    const asked: unknown[] = []
    const { code, out, err } = await cli.run(line, {
      compose: async () => ({
        backUp(config, target, options) {
          asked.push([config.home, target, options])
          return { ...MADE, path: target, ...made }
        },
        restore(config, source) {
          asked.push([config.home, source])
          return { ...RESTORED, ...restored }
        },
      }),
    })
    checkGolden(name, `$ headrace ${line}\n${out}${err}--- asked ${JSON.stringify(asked)}\n--- exit ${code}\n`)
    assert.equal(code, 0)
  })
}

check('backup', 'backup copy.db')
check('backup-whole', 'backup /mnt/copy --whole')
check('backup-json', 'backup copy.db --json')
check('backup-empty', 'backup copy.db', { made: { newest: null, verification: { transfers: 1, settlements: 0 } } })
check('restore', 'restore copy.db')
check('restore-json', 'restore copy.db --json --home /srv/h')
check('restore-new', 'restore copy', { restored: { replacedPath: null, loss: null, pepper: 'restored' } })
check('restore-no-pepper', 'restore copy.db', { restored: { replacedPath: null, loss: null, pepper: 'none' } })
check('restore-unreadable', 'restore copy.db', { restored: { loss: null } })
check('restore-same', 'restore copy.db', {
  restored: { loss: { settlements: 0, chargeNanodollars: 0n, transfers: 0 }, pepper: 'restored' },
})

test('what cannot be backed up is told, with exit code 1', async () => {
  const cli = await createCli()
  const { code, err } = await cli.run('backup copy.db', {
    compose: async () => ({
      backUp() {
        throw new Error('/desk/copy.db exists already. Choose another name; a backup replaces nothing.')
      },
    }),
  })
  assert.equal(code, 1)
  assert.equal(err, 'headrace: /desk/copy.db exists already. Choose another name; a backup replaces nothing.\n')
})
