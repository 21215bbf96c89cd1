import type { JsonObject } from '../../inference/request.ts'
import type { KeptDocument } from '../../ledger/kept-document.ts'
import type { KeptOwner } from '../protocol.ts'

/** A response as it is kept: document of kind `response`, whose state is the response's status. */
export interface KeptResponse {
  readonly response: JsonObject
  /** The input items of its own, without those of the response that it goes on from; each with an id. */
  readonly input: readonly JsonObject[]
}

/** Where an item is: document of kind `response_item`, under the item's id. */
interface KeptItem {
  readonly response: string
  /** Its place in the output. */
  readonly output: number
}

/** States of a response that is not over. */
export const UNFINISHED: readonly string[] = Object.freeze(['queued', 'in_progress'])

/** The documents of a response: itself, and for each of its output items where it is. */
export function responseDocuments(kept: KeptResponse, owner: KeptOwner, keepMs: number): readonly KeptDocument[] {
  const id = String(kept.response.id)
  const shared = { orgId: owner.orgId, keyId: owner.keyId, createdMs: owner.nowMs, expiresMs: owner.nowMs + keepMs }
  const state = String(kept.response.status)
  const items = (kept.response.output as readonly JsonObject[]).map((item, output): KeptDocument => {
    const where: KeptItem = { response: id, output }
    const json = JSON.stringify(where)
    return { ...shared, kind: 'response_item', id: String(item.id), parentId: id, state, json }
  })
  return [{ ...shared, kind: 'response', id, parentId: null, state, json: JSON.stringify(kept) }, ...items]
}

/** Reads the document of a response. */
export function readKeptResponse(json: string): KeptResponse {
  return JSON.parse(json)
}

/** Reads the document of an item. */
export function readKeptItem(json: string): KeptItem {
  return JSON.parse(json)
}

const ID_PREFIXES: Readonly<Record<string, string>> = {
  message: 'msg',
  reasoning: 'rs',
  function_call: 'fc',
  function_call_output: 'fco',
  custom_tool_call: 'ctc',
  custom_tool_call_output: 'ctco',
  compaction: 'cmp',
}

/** The items with types and ids, as they are listed later; `unique` stands in the ids of those that have none. */
export function namedItems(items: readonly unknown[], unique: string): readonly JsonObject[] {
  return (items as readonly JsonObject[]).map((item, i) => {
    const type = typeof item.type === 'string' ? item.type : 'message'
    return { ...item, type, id: typeof item.id === 'string' ? item.id : `${itemIdPrefix(type)}_${unique}in${i}` }
  })
}

/** How ids of items of a type begin. */
export function itemIdPrefix(type: string): string {
  return ID_PREFIXES[type] ?? 'item'
}
