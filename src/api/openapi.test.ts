import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PROTOCOLS } from '../protocols/protocols.ts'
import { clientOpenApi } from './app.ts'
import { referencePage } from './reference-page.ts'

interface Operation {
  readonly operationId?: string
  readonly summary?: string
  readonly tags?: readonly string[]
  readonly responses: Readonly<Record<string, unknown>>
}

const document = clientOpenApi(PROTOCOLS) as {
  readonly openapi: string
  readonly tags: readonly { readonly name: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> }
}
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
)

test('every operation has a summary, a heading that there is, an answer and what errors look like', () => {
  assert.equal(document.openapi, '3.1.0')
  const headings = new Set(document.tags.map(({ name }) => name))
  for (const { path, method, operation } of operations) {
    const where = `${method} ${path}`
    assert.ok((operation.summary ?? '') !== '', where)
    assert.ok(operation.tags?.every(tag => headings.has(tag)) && operation.tags.length === 1, where)
    assert.ok(
      Object.keys(operation.responses).some(status => status.startsWith('2')),
      where,
    )
  }
  const ids = operations.flatMap(({ operation }) => operation.operationId ?? [])
  assert.deepEqual(ids, [...new Set(ids)])
})

test('every reference leads to a schema, and every schema is referred to', () => {
  const used = new Set(
    [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name),
  )
  assert.deepEqual([...used].sort(), Object.keys(document.components.schemas).sort())
})

test('every protocol is described', () => {
  const silent = PROTOCOLS.filter(({ description }) => description === undefined)
  assert.deepEqual(silent, [])
  const summaries = new Set(operations.map(({ operation }) => operation.summary))
  const missing = PROTOCOLS.filter(({ description }) => !summaries.has(description?.summary))
  assert.deepEqual(missing, [])
})

test('the page shows every operation, and runs and loads nothing', () => {
  const page = referencePage(document)
  for (const { path } of operations) assert.ok(page.includes(`<code>${path}</code>`), path)
  assert.doesNotMatch(page, /<script|<link|src=|@import|url\(/)
  assert.doesNotMatch(page, /undefined|\[object Object\]/)
})
