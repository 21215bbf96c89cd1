import { html, raw } from 'hono/html'

/*
 * The API's reference as one page without scripts, made of its OpenAPI document: it loads nothing, prints, and reads in both themes and
 * on a phone.
 */

interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly items?: Schema
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly minimum?: number
  readonly maximum?: number
  readonly maxItems?: number
  readonly maxLength?: number
  readonly additionalProperties?: boolean | Schema
}

type Content = Readonly<Record<string, { readonly schema?: Schema }>>

interface Operation {
  readonly summary?: string
  readonly description?: string
  readonly operationId?: string
  readonly tags?: readonly string[]
  readonly parameters?: readonly {
    name: string
    in: string
    required?: boolean
    description?: string
    schema?: Schema
  }[]
  readonly requestBody?: { readonly content: Content }
  readonly responses?: Readonly<Record<string, { readonly description?: string; readonly content?: Content }>>
}

interface Document {
  readonly tags: readonly { readonly name: string; readonly description?: string }[]
  readonly info: { readonly title: string; readonly description?: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components?: { readonly schemas?: Readonly<Record<string, Schema>> }
}

type Html = ReturnType<typeof html>

/** An operation with where it is found. */
interface Entry {
  readonly method: string
  readonly path: string
  readonly operation: Operation
  readonly anchor: string
}

/** Nested fields are shown so deep; deeper ones are named. */
const DEPTH_MAX = 4

/** Renders the page. `document` is an OpenAPI 3.1 document as `clientDocument` makes it. */
export function referencePage(document: object): string {
  const { info, paths, components, tags } = document as Document
  const schemas = components?.schemas ?? {}
  const entries = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]): Entry => {
      return {
        method,
        path,
        operation,
        anchor: operation.operationId ?? `${method}-${path}`.replace(/[^a-z0-9]+/gi, '-'),
      }
    }),
  )
  const byTag = Map.groupBy(entries, ({ operation }) => operation.tags?.[0] ?? '')
  const groups = tags.flatMap(({ name, description }) => {
    const group = byTag.get(name)
    return group === undefined ? [] : [{ tag: name, description, group }]
  })
  return `<!doctype html>${html`<html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width, initial-scale=1" />
      <meta name="color-scheme" content="light dark" />
      <title>${info.title}</title>
      <style>${raw(STYLE)}</style>
    </head>
    <body>
      <nav aria-label="Operations">
        <p class="brand">${info.title}</p>
        <p><a href="/openapi.json">OpenAPI 3.1</a></p>
        ${groups.map(
          ({ tag, group }) =>
            html`<section><h2>${tag}</h2><ul>${group.map(
              ({ method, anchor, operation, path }) =>
                html`<li><a href="#${anchor}"><span class="method ${method}">${method}</span>${operation.summary ?? path}</a></li>`,
            )}</ul></section>`,
        )}
      </nav>
      <main>
        <header><h1>${info.title}</h1><p>${info.description ?? ''}</p></header>
        ${groups.map(({ tag, description, group }) => html`<h2 class="tag">${tag}</h2><p>${description ?? ''}</p>${group.map(entry => article(entry, schemas))}`)}
      </main>
    </body>
  </html>`}`
}

function article({ method, path, operation, anchor }: Entry, schemas: Readonly<Record<string, Schema>>): Html {
  const { summary, description, parameters = [], requestBody, responses = {} } = operation
  const body = Object.entries(requestBody?.content ?? {})
  const fields = new Fields(schemas)
  return html`<article id="${anchor}">
    <h3>${summary ?? path}</h3>
    <p class="path"><span class="method ${method}">${method}</span><code>${path}</code></p>
    ${description === undefined ? '' : html`<p>${description}</p>`}
    ${
      parameters.length === 0
        ? ''
        : html`<h4>Parameters</h4><dl>${parameters.map(each =>
            fields.row(
              each.name,
              { ...each.schema, ...(each.description !== undefined && { description: each.description }) },
              each.required === true,
              0,
              each.in,
            ),
          )}</dl>`
    }
    ${body.map(([type, { schema }]) => html`<h4>Body <small>${type}</small></h4>${fields.of(schema ?? {}, 0)}`)}
    ${Object.entries(responses).map(([status, answer]) =>
      Object.entries(answer.content ?? {}).map(
        ([type, { schema }]) =>
          html`<details><summary>${status === 'default' ? 'Errors' : `Answer ${status}`} <small>${type}</small></summary>
            <p>${answer.description ?? ''}</p>${fields.of(schema ?? {}, 0)}</details>`,
      ),
    )}
  </article>`
}

/** Renders the fields of schemas. */
class Fields {
  readonly #schemas: Readonly<Record<string, Schema>>

  constructor(schemas: Readonly<Record<string, Schema>>) {
    this.#schemas = schemas
  }

  /** The fields of an object, or of what a list or union is made of. */
  of(schema: Schema, depth: number): Html | '' {
    const { properties, required = [], items, anyOf, oneOf } = this.#resolved(schema)
    if (depth >= DEPTH_MAX) return ''
    if (properties !== undefined) {
      const rows = Object.entries(properties).map(([name, field]) =>
        this.row(name, field, required.includes(name), depth),
      )
      return html`<dl>${rows}</dl>`
    }
    if (items !== undefined) return this.of(items, depth)
    const branches = (anyOf ?? oneOf ?? []).map(branch => this.of(branch, depth)).filter(branch => branch !== '')
    return branches.length === 0
      ? ''
      : html`${branches.map((branch, i) => html`${i > 0 ? html`<p class="or">or</p>` : ''}${branch}`)}`
  }

  /** One field: its name, kind, meaning, and what is in it. */
  row(name: string, field: Schema, required: boolean, depth: number, where = ''): Html {
    const { description } = this.#resolved(field)
    const inner = this.of(field, depth + 1)
    return html`<div>
      <dt><code>${name}</code> <span class="kind">${this.#kind(field)}</span>${where === '' ? '' : html` <span class="kind">${where}</span>`}${required ? html` <span class="required">required</span>` : ''}</dt>
      <dd>${description === undefined ? '' : html`<p>${description}</p>`}${inner === '' ? '' : html`<details><summary>Fields</summary>${inner}</details>`}</dd>
    </div>`
  }

  #resolved(schema: Schema): Schema {
    if (schema.allOf !== undefined) return Object.assign({}, ...schema.allOf.map(each => this.#resolved(each)), schema)
    if (schema.$ref === undefined) return schema
    const found = this.#schemas[schema.$ref.slice(schema.$ref.lastIndexOf('/') + 1)]
    return found === undefined ? schema : { ...this.#resolved(found), ...schema }
  }

  #kind(schema: Schema): string {
    const { type, enum: values, const: only, items, anyOf, oneOf, minimum, maximum } = this.#resolved(schema)
    if (only !== undefined) return JSON.stringify(only)
    if (values !== undefined) return values.map(value => JSON.stringify(value)).join(' | ')
    const branches = anyOf ?? oneOf
    if (branches !== undefined) return [...new Set(branches.map(branch => this.#kind(branch)))].join(' | ')
    if (items !== undefined) return `${this.#kind(items)}[]`
    const range =
      minimum !== undefined && maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER
        ? ` ${minimum}–${maximum}`
        : ''
    const kinds = typeof type === 'string' ? [type] : (type ?? ['any'])
    return kinds.filter(kind => kind !== 'null').join(' | ') + range
  }
}

const STYLE = `
:root { --ink: #1c2430; --soft: #5b6675; --line: #dfe4ea; --page: #ffffff; --side: #f6f8fa; --accent: #0b6bcb; --code: #eef2f6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6ebf2; --soft: #9aa7b8; --line: #2b3440; --page: #11161d; --side: #161c25; --accent: #6cb2ff; --code: #1d2530; }
}
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: var(--page); font: 16px/1.55 system-ui, sans-serif; display: grid; grid-template-columns: 19rem minmax(0, 1fr); }
nav { background: var(--side); border-right: 1px solid var(--line); padding: 1.25rem 1rem; height: 100vh; position: sticky; top: 0; overflow: auto; font-size: .9rem; }
nav h2 { font-size: .75rem; text-transform: uppercase; letter-spacing: .06em; color: var(--soft); margin: 1.25rem 0 .25rem; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav li a { display: flex; gap: .5rem; align-items: baseline; padding: .2rem .4rem; border-radius: .3rem; color: inherit; text-decoration: none; }
nav li a:hover { background: var(--code); }
.brand { font-weight: 650; font-size: 1.05rem; margin: 0; }
a { color: var(--accent); }
main { padding: 2rem min(4vw, 3.5rem) 5rem; max-width: 64rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }
h2.tag { margin: 3rem 0 0; padding-bottom: .35rem; border-bottom: 1px solid var(--line); }
article { padding: 1.5rem 0; border-bottom: 1px solid var(--line); scroll-margin-top: 1rem; }
h3 { margin: 0 0 .35rem; font-size: 1.2rem; }
h4 { margin: 1.25rem 0 .25rem; font-size: .95rem; }
small, .kind { color: var(--soft); font-weight: 400; font-size: .85rem; }
code { font-family: ui-monospace, monospace; font-size: .88em; background: var(--code); padding: .1em .35em; border-radius: .25rem; overflow-wrap: anywhere; }
.path { display: flex; gap: .6rem; align-items: center; margin: 0 0 .5rem; }
.method { font: 600 .68rem/1 ui-monospace, monospace; text-transform: uppercase; min-width: 4.1em; flex: none; color: var(--soft); }
.method.post { color: #1a7f4b; } .method.get { color: #0b6bcb; } .method.delete { color: #c0392b; }
@media (prefers-color-scheme: dark) { .method.post { color: #5fd39a; } .method.get { color: #6cb2ff; } .method.delete { color: #ff8a7a; } }
.required { color: #b3541e; font-size: .8rem; } @media (prefers-color-scheme: dark) { .required { color: #f0a36b; } }
dl { margin: .25rem 0; } dl > div { border-top: 1px solid var(--line); padding: .5rem 0; } dl > div:first-child { border-top: 0; }
dd { margin: 0; } dd p { margin: .15rem 0 0; } dd dl { border-left: 2px solid var(--line); padding-left: .9rem; }
summary { cursor: pointer; color: var(--accent); font-size: .92rem; padding: .15rem 0; } .or { color: var(--soft); margin: .4rem 0; font-size: .85rem; }
@media (max-width: 52rem) { body { display: block; } nav { position: static; height: auto; max-height: 40vh; border-right: 0; border-bottom: 1px solid var(--line); } main { padding: 1.25rem 1rem 3rem; } }
@media print { nav { display: none; } body { display: block; } }
`
