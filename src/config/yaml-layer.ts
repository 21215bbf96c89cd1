import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml'
import type { ConfigIssue } from './config-error.ts'
import type { Layer } from './layer.ts'
import { nodeAt } from './settings.ts'

/** No setting is nested deeper; the bound ends an alias that contains itself. */
const DEPTH_MAX = 16

/**
 * Reads a YAML file into a layer that knows the line of every value. Amounts of money keep the digits as written
 * (`1.30` stays "1.30"), so that no float comes near them. What is wrong goes to `issues`.
 */
export function yamlLayer(text: string, file: string, issues: ConfigIssue[]): Layer {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const origins = new Map<string, string>()
  const at = (offset: number) => `${file}:${lines.linePos(offset).line}`
  for (const error of document.errors) {
    issues.push({ where: at(error.pos[0]), path: '', message: `not valid YAML: ${error.message}` })
  }
  if (issues.length > 0 || document.contents === null) return { values: {}, origins }
  // A file of comments alone, as after trying things out, is a null.
  if (isScalar(document.contents) && document.contents.value === null) return { values: {}, origins }
  if (!isMap(document.contents)) {
    issues.push({
      where: at(0),
      path: '',
      message: 'the file must hold settings such as "server:" with "port: 8080" below it',
    })
    return { values: {}, origins }
  }
  return { values: read(document.contents, [], at(0)) as Record<string, unknown>, origins }

  function read(written: Node | null, path: readonly string[], where: string): unknown {
    const node = isAlias(written) ? (written.resolve(document) ?? null) : written
    origins.set(path.join('.'), where)
    if (path.length > DEPTH_MAX) {
      issues.push({ where, path: path.join('.'), message: 'is nested too deeply' })
      return null
    }
    if (isMap(node)) {
      const values: Record<string, unknown> = {}
      for (const pair of node.items) {
        const key = String(isScalar(pair.key) ? pair.key.value : pair.key)
        const offset = (pair.key as Node | null)?.range?.[0]
        values[key] = read(pair.value as Node | null, [...path, key], offset === undefined ? where : at(offset))
      }
      return values
    }
    if (isSeq(node)) {
      return node.items.map((item, index) => {
        const offset = (item as Node).range?.[0]
        return read(item as Node, [...path, String(index)], offset === undefined ? where : at(offset))
      })
    }
    if (!isScalar(node)) return null
    if (typeof node.value === 'number' && nodeAt(path)?.decimal === true) return node.source ?? String(node.value)
    return node.value
  }
}
