import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { parseDocument } from 'yaml'
import { DEFAULT_MODEL_ID } from '../models/catalogue.ts'
import { renderExample, renderReference } from './example.ts'
import { loadConfig } from './load.ts'
import { nearest } from './nearest.ts'
import { allowedText, CONFIG_NODE, nodeAt, type SchemaNode, SETTINGS } from './settings.ts'

function load(file: string | null) {
  return loadConfig({
    flags: { config: file === null ? undefined : '/c.yaml' },
    env: {},
    userHome: '/u',
    cwd: '/',
    readFile: path => (path === '/c.yaml' ? file : null),
  }).config
}

test('the example parses to the defaults', () => {
  assert.deepEqual(load(renderExample()), load(null))
})

test('the committed example is current; write it with "npm run generate"', () => {
  assert.equal(readFileSync(new URL('../../config.example.yaml', import.meta.url), 'utf8'), renderExample())
})

test('the example names every setting', () => {
  const document = parseDocument(renderExample())
  for (const [path, setting] of SETTINGS) {
    if (setting.path.length < 3 || setting.path[1] === 'cors') assert.ok(document.hasIn(setting.path), path)
  }
})

test('the samples of the example are valid when uncommented', () => {
  const text = renderExample()
  const upstreams = text.slice(text.indexOf('# upstreams:'), text.indexOf('\n\n# The log')).replaceAll(/^# /gm, '')
  assert.equal(load(upstreams).upstreams[0]?.models[0]?.model, 'deepseek-v4-flash')
  for (const [path, setting] of SETTINGS) {
    if (setting.node.sample === undefined) continue
    const [section, ...rest] = path.split('.')
    const inner = rest.reduceRight((value, key) => `{${key}: ${value}}`, setting.node.sample)
    load(`${section}: ${inner}`)
  }
})

test('every setting is described, bounded and named in the reference', () => {
  const reference = renderReference()
  const visit = (node: SchemaNode, path: string) => {
    assert.ok(path === '' || (node.description ?? '').endsWith('.'), `${path} has no description in a sentence`)
    assert.doesNotMatch(allowedText(node), /9007199254740991|undefined/, `${path} has no bounds of its own`)
    for (const [key, child] of Object.entries(node.properties ?? {})) visit(child, path === '' ? key : `${path}.${key}`)
    for (const [key, child] of Object.entries(node.items?.properties ?? {})) visit(child, `${path}[].${key}`)
  }
  visit(CONFIG_NODE, '')
  for (const path of SETTINGS.keys()) assert.ok(reference.includes(`\`${path}\``), path)
})

test('environment names are unique', () => {
  const names = [...SETTINGS.values()].map(setting => setting.env)
  assert.equal(new Set(names).size, names.length)
  assert.equal(SETTINGS.get('server.bodyBytesMax')?.env, 'HEADRACE_SERVER_BODY_BYTES_MAX')
})

test('a path leads to its node', () => {
  assert.equal(nodeAt(['server', 'tls', 'keyFile'])?.path, true)
  assert.equal(nodeAt(['upstreams', 3, 'models', 0, 'price', 'input'])?.decimal, true)
  assert.equal(nodeAt(['server', 'nothing']), null)
})

test('the nearest name', () => {
  for (const [written, expected] of [
    ['prot', 'port'],
    ['prt', 'port'],
    ['hots', 'host'],
    ['colour', null],
    ['', null],
  ] as const) {
    assert.equal(nearest(written, ['port', 'host', 'allowedHosts']), expected, written)
  }
})

test('the default model is that of the catalogue', () => {
  assert.equal(load(null).models.default, DEFAULT_MODEL_ID)
})
