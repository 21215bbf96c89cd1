import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GENERATED, staleFiles } from '../../scripts/generate.ts'
import { controlOpenApi } from './app.ts'

interface Operation {
  operationId: string
  summary: string
  parameters?: { name: string; in: string; required?: boolean }[]
  responses: Record<string, { content: Record<string, { schema: { $ref?: string } }> }>
}

const document = controlOpenApi() as {
  openapi: string
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, unknown> }
}
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })),
)

test('generated files are current; write them with "npm run generate"', () => {
  assert.deepEqual(staleFiles(), [])
  assert.ok(Object.keys(GENERATED).includes('docs/reference/control-openapi.json'))
})

test('every operation has a name of its own, a summary, a good answer and the error', () => {
  assert.equal(document.openapi, '3.1.0')
  assert.equal(new Set(operations.map(operation => operation.operationId)).size, operations.length)
  for (const { path, summary, responses } of operations) {
    assert.ok(summary.length > 0, path)
    const good = responses[200] ?? responses[201]
    assert.match(good?.content['application/json']?.schema.$ref ?? '', /^#\/components\/schemas\//, path)
    assert.equal(responses.default?.content['application/json']?.schema.$ref, '#/components/schemas/Error', path)
  }
})

test('every name in braces is a required path parameter, and no other', () => {
  for (const { path, operationId, parameters = [] } of operations) {
    const named = [...path.matchAll(/\{(\w+)\}/g)].map(match => match[1])
    const declared = parameters.filter(each => each.in === 'path')
    assert.deepEqual(
      declared.map(each => each.name),
      named,
      operationId,
    )
    assert.ok(
      declared.every(each => each.required === true),
      operationId,
    )
  }
})

test('every reference leads somewhere, and every schema is used', () => {
  const references = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(
    match => match[1] as string,
  )
  const schemas = new Set(Object.keys(document.components.schemas))
  assert.deepEqual(new Set(references), schemas)
})
