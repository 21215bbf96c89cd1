import fc from 'fast-check'

/** JSON Schema, as far as OpenAPI documents made of zod schemas use it. */
export interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean | Schema
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly minimum?: number
  readonly maximum?: number
  readonly exclusiveMinimum?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly minLength?: number
  readonly maxLength?: number
}

/** Nested values are made so deep; deeper ones are anything. */
const DEPTH_MAX = 6
/** Values that have broken programs before. */
const TRAPS: readonly unknown[] = [
  ...[null, true, 0, -1, 1.5, 1e308, -0, 2 ** 53, '', 'x', '\u0000', '\ud800', '__proto__', '../../etc/passwd', '%00'],
  ...[[], {}, [[]], [null], { type: 'text' }, { toString: 1 }, { constructor: { prototype: 1 } }, 'a'.repeat(5000)],
]

/**
 * Values that keep to a schema, except that about one value in `oneIn` is a trap, whatever the schema says there. `pinned` are fields
 * that are given elsewhere, such as names of models that exist.
 */
export function valuesOf(
  schema: Schema,
  schemas: Readonly<Record<string, Schema>>,
  options: { readonly oneIn: number; readonly pinned: Readonly<Record<string, fc.Arbitrary<unknown>>> },
): fc.Arbitrary<unknown> {
  const trap = fc.constantFrom(...TRAPS)

  function of(given: Schema, depth: number, name = ''): fc.Arbitrary<unknown> {
    const pinned = options.pinned[name]
    const fitting = pinned ?? fittingOf(resolved(given), depth)
    return options.oneIn === 0
      ? fitting
      : fc.oneof({ weight: options.oneIn - 1, arbitrary: fitting }, { weight: 1, arbitrary: trap })
  }

  function resolved(given: Schema): Schema {
    if (given.allOf !== undefined) return Object.assign({}, ...given.allOf.map(resolved), given, { allOf: undefined })
    if (given.$ref === undefined) return given
    return resolved(schemas[given.$ref.slice(given.$ref.lastIndexOf('/') + 1)] ?? {})
  }

  function fittingOf(given: Schema, depth: number): fc.Arbitrary<unknown> {
    if (given.const !== undefined) return fc.constant(given.const)
    if (given.enum !== undefined) return fc.constantFrom(...given.enum)
    const branches = given.anyOf ?? given.oneOf
    if (branches !== undefined) return fc.oneof(...branches.map(branch => of(branch, depth)))
    const kinds = typeof given.type === 'string' ? [given.type] : (given.type ?? [])
    if (kinds.length > 1) return fc.oneof(...kinds.map(type => fittingOf({ ...given, type }, depth)))
    return depth > DEPTH_MAX ? trap : ofKind(kinds[0], given, depth)
  }

  function ofKind(kind: string | undefined, given: Schema, depth: number): fc.Arbitrary<unknown> {
    const { minimum = -1000, maximum = minimum + 2000 } = given
    switch (kind) {
      case 'null':
        return fc.constant(null)
      case 'boolean':
        return fc.boolean()
      case 'integer':
        return fc.integer({
          min: Math.max(minimum, -(2 ** 31)),
          max: Math.min(maximum, 64) < minimum ? minimum : Math.min(maximum, 64),
        })
      case 'number':
        return fc.double({ min: minimum, max: maximum, noNaN: true })
      case 'string':
        return fc.string({ minLength: given.minLength ?? 0, maxLength: Math.min(given.maxLength ?? 40, 40) })
      case 'array':
        return fc.array(of(given.items ?? {}, depth + 1), {
          minLength: given.minItems ?? 0,
          maxLength: Math.min(given.maxItems ?? 3, 3),
        })
      case 'object':
        return objectOf(given, depth)
      default:
        return fc.jsonValue({ maxDepth: 2 })
    }
  }

  function objectOf(
    { properties = {}, required = [], additionalProperties }: Schema,
    depth: number,
  ): fc.Arbitrary<unknown> {
    const fields = Object.fromEntries(
      Object.entries(properties).map(([name, field]) => [name, of(field, depth + 1, name)]),
    )
    const known = fc.record(fields, { requiredKeys: [...required].filter(name => name in fields) })
    if (additionalProperties === undefined || additionalProperties === false) return known
    const more =
      typeof additionalProperties === 'object' ? of(additionalProperties, depth + 1) : fc.jsonValue({ maxDepth: 1 })
    return fc
      .tuple(known, fc.dictionary(fc.string({ maxLength: 8 }), more, { maxKeys: 1 }))
      .map(([a, b]) => ({ ...b, ...a }))
  }

  return of(schema, 0)
}
