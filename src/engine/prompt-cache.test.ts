import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, test } from 'node:test'
import fc from 'fast-check'
import { PromptCache, shared } from './prompt-cache.ts'

const dirs: string[] = []
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true, force: true })
})

interface Fixture {
  readonly cache: PromptCache
  readonly dir: string
  readonly clock: { ms: number }
  /** Saves a prompt whose file takes `bytes`; false when the cache did not want it. */
  save(salt: string, prompt: number[], bytes?: number): boolean
}

function fixture(over: Partial<{ bytesMax: number; tokensMin: number; wholePrefixOnly: boolean }> = {}): Fixture {
  const folder = mkdtempSync(join(tmpdir(), 'headrace-cache-'))
  dirs.push(folder)
  const dir = join(folder, 'states')
  const clock = { ms: 0 }
  const cache = new PromptCache({
    dir,
    bytesMax: 1_000,
    tokensMin: 1,
    wholePrefixOnly: false,
    nowMs: () => clock.ms,
    ...over,
  })
  return {
    cache,
    dir,
    clock,
    save(salt, prompt, bytes = 100) {
      const pending = cache.begin(salt, Int32Array.from(prompt), 0)
      if (pending === undefined) return false
      writeFileSync(pending.path, Buffer.alloc(bytes))
      cache.commit(pending)
      return true
    },
  }
}

/** `count` tokens that begin at `first`. */
function run(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index)
}

function covered(cache: PromptCache, salt: string, prompt: number[]): number {
  return cache.peek(salt, Int32Array.from(prompt))
}

test('the longest stored prefix is found, and never by another salt', () => {
  const { cache, save } = fixture()
  save('a', run(0, 100))
  save('a', run(0, 200))
  assert.equal(covered(cache, 'a', [...run(0, 150), 7]), 150)
  assert.equal(covered(cache, 'a', run(0, 200)), 199)
  assert.equal(covered(cache, 'a', run(0, 500)), 199)
  assert.equal(covered(cache, 'a', run(1, 200)), 0)
  assert.equal(covered(cache, 'b', run(0, 200)), 0)
})

test('where only whole prefixes can be reused, the longest whole one is found', () => {
  const { cache, save } = fixture({ wholePrefixOnly: true })
  save('a', run(0, 41))
  save('a', run(0, 101))
  save('a', [...run(0, 50), ...run(900, 60)])
  assert.equal(covered(cache, 'a', run(0, 300)), 100)
  assert.equal(covered(cache, 'a', run(0, 101)), 100)
  assert.equal(covered(cache, 'a', run(0, 100)), 40)
  assert.equal(covered(cache, 'a', run(0, 40)), 0)
})

test('files are private, counted, and gone after a wipe', () => {
  const { cache, dir, save } = fixture()
  assert.equal(statSync(dir).mode & 0o777, 0o700)
  save('a', run(0, 100))
  assert.deepEqual([cache.status().entries, cache.status().bytes], [1, 100])
  assert.equal(readdirSync(dir).length, 1)
  cache.wipe()
  assert.equal(existsSync(dir), false)
  assert.equal(covered(cache, 'a', run(0, 100)), 0)
})

test('prompts that bring little that is new are not saved', () => {
  const { cache } = fixture({ tokensMin: 64 })
  const prompt = Int32Array.from(run(0, 200))
  assert.equal(cache.begin('a', prompt, 150), undefined)
  assert.notEqual(cache.begin('a', prompt, 100), undefined)
})

test('superseded prefixes are evicted first', () => {
  const { cache, clock, save } = fixture({ bytesMax: 250 })
  save('a', run(500, 50))
  clock.ms += 1_000
  save('a', run(0, 50))
  clock.ms += 1_000
  // Room for this one is made by the oldest, since nothing is superseded yet.
  save('a', run(0, 90))
  assert.equal(covered(cache, 'a', run(500, 50)), 0)
  clock.ms += 1_000
  save('a', run(700, 50))
  assert.equal(cache.status().entries, 2)
  assert.equal(covered(cache, 'a', run(0, 90)), 89)
  assert.equal(covered(cache, 'a', run(700, 50)), 49)
})

test('what saves least per byte and age is evicted; what is being loaded is not', () => {
  const { cache, clock, save } = fixture({ bytesMax: 300 })
  save('a', run(0, 100))
  clock.ms += 60_000
  save('a', run(1_000, 100))
  save('a', run(2_000, 100))
  const hit = cache.find('a', Int32Array.from(run(0, 100)))
  assert.ok(hit)
  clock.ms += 1_000
  save('a', run(3_000, 100))
  assert.equal(covered(cache, 'a', run(0, 100)), 99, 'used a moment ago, and pinned')
  assert.equal(covered(cache, 'a', run(1_000, 100)), 0)
  cache.release(hit)
  assert.equal(cache.status().evictions, 1)
})

test('the bytes never exceed the bound', () => {
  const { cache, dir, save } = fixture({ bytesMax: 1_000 })
  for (let index = 0; index < 50; index++) save('a', run(index * 1_000, 100), 90 + index)
  const onDisk = readdirSync(dir).reduce((sum, name) => sum + statSync(join(dir, name)).size, 0)
  assert.ok(onDisk <= 1_000, `${onDisk} bytes`)
  assert.equal(onDisk, cache.status().bytes)
  assert.equal(save('a', run(0, 100_000)), false, 'a state larger than the bound is not begun')
})

test('an abandoned save leaves nothing behind', () => {
  const { cache, dir } = fixture()
  const pending = cache.begin('a', Int32Array.from(run(0, 100)), 0)
  assert.ok(pending)
  writeFileSync(pending.path, 'half')
  cache.abandon(pending)
  assert.deepEqual(readdirSync(dir), [])
  assert.equal(cache.status().entries, 0)
})

test('a state kept for a while takes room like the others, is never found, and goes when it is discarded', () => {
  const { cache, dir, save } = fixture({ bytesMax: 250 })
  const prompt = Array.from({ length: 51 }, () => 1)
  assert.ok(save('a', prompt))
  const other = Int32Array.from({ length: 51 }, () => 2)
  // 100 bytes for 50 tokens, as the file before taught.
  const scratch = cache.scratch('a', other)
  assert.ok(scratch !== undefined)
  writeFileSync(scratch.path, Buffer.alloc(100))
  assert.equal(cache.peek('a', other), 0)
  const third = Array.from({ length: 51 }, () => 3)
  assert.ok(save('a', third), 'the first makes room for the third')
  assert.equal(cache.peek('a', Int32Array.from(prompt)), 0)
  cache.discard(scratch)
  assert.equal(readdirSync(dir).length, 1)
  assert.ok(save('a', prompt))
  assert.equal(cache.status().entries, 2)
  assert.equal(
    cache.scratch(
      'a',
      Int32Array.from({ length: 200 }, () => 4),
    ),
    undefined,
    'too long for all of it',
  )
})

test('agrees with a search through all entries', () => {
  const token = fc.integer({ min: 0, max: 1 })
  const prompt = fc.array(token, { minLength: 18, maxLength: 70 })
  fc.assert(
    fc.property(fc.array(prompt, { maxLength: 8 }), prompt, fc.boolean(), (stored, asked, wholePrefixOnly) => {
      const { cache, save } = fixture({ wholePrefixOnly, bytesMax: 1_000_000 })
      for (const one of stored) save('a', one)
      const wanted = Int32Array.from(asked)
      let best = 0
      for (const one of stored) {
        const tokens = Int32Array.from(one.slice(0, -1))
        const common = Math.min(shared(tokens, wanted), wanted.length - 1)
        if (wholePrefixOnly ? common >= tokens.length : common >= 16) best = Math.max(best, common)
      }
      assert.equal(cache.peek('a', wanted), best)
      cache.wipe()
    }),
    { numRuns: 60 },
  )
})
