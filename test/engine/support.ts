import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { createEngineUpstream, type EngineOptions, type EngineUpstream } from '../../src/engine/engine-upstream.ts'
import { ensureFixture, type FixtureName } from '../../src/testing/fixtures.ts'

export { type Answer, chat, embed, rank, request, run, text, words } from './support-run.ts'

/** Fixtures are generated once and shared by all tests of this user. */
const FIXTURES = join(tmpdir(), `headrace-fixtures-${process.getuid?.() ?? 0}`)

/** An engine with one fixture model named `m`, closed after the file's tests. */
export async function engineWith(
  fixture: FixtureName,
  options: Partial<EngineOptions> & { slots?: number; contextTokens?: number } = {},
): Promise<EngineUpstream> {
  const path = await ensureFixture(fixture, FIXTURES)
  const stateDir = mkdtempSync(join(tmpdir(), 'headrace-engine-'))
  const { slots = 2, contextTokens = 2048, ...rest } = options
  const engine = createEngineUpstream({
    stateDir,
    cacheBytesMax: 64 * 2 ** 20,
    models: [{ name: 'm', path, slots, contextTokens }],
    ...rest,
  })
  after(async () => {
    await engine.close(0)
    rmSync(stateDir, { recursive: true, force: true })
  })
  return engine
}

export function fixturePath(fixture: FixtureName): Promise<string> {
  return ensureFixture(fixture, FIXTURES)
}
