import type { JsonObject } from '../../inference/request.ts'
import { eventFrame } from './encoder.ts'

/**
 * The stream of a response that is over, told again from what is kept of it: each text in one piece, so that the numbers of the events are
 * not those of the first telling.
 */
export function replayFrames(response: JsonObject): readonly string[] {
  const frames: string[] = []
  const frame = (type: string, fields: JsonObject) =>
    void frames.push(eventFrame(type, frames.length, JSON.stringify(fields).slice(1, -1)))
  const begun = { ...response, status: 'in_progress', output: [], usage: null, error: null, incomplete_details: null }
  frame('response.created', { response: begun })
  frame('response.in_progress', { response: begun })
  const output = Array.isArray(response.output) ? (response.output as JsonObject[]) : []
  output.forEach((item, index) => {
    const at = { item_id: item.id, output_index: index }
    frame('response.output_item.added', { output_index: index, item: emptied(item) })
    listOf(item.content).forEach((part, i) => {
      const inPart = { ...at, content_index: i }
      const said = String(part.type === 'refusal' ? part.refusal : part.text)
      const field = part.type === 'refusal' ? 'refusal' : 'text'
      const name = String(part.type)
      const logprobs = name === 'output_text' && { logprobs: part.logprobs ?? [] }
      frame('response.content_part.added', {
        ...inPart,
        part: { ...part, [field]: '', ...(logprobs && { logprobs: [] }) },
      })
      frame(`response.${name}.delta`, { ...inPart, delta: said, ...logprobs })
      frame(`response.${name}.done`, { ...inPart, [field]: said, ...logprobs })
      frame('response.content_part.done', { ...inPart, part })
    })
    listOf(item.summary).forEach((part, i) => {
      const inPart = { ...at, summary_index: i }
      frame('response.reasoning_summary_part.added', { ...inPart, part: { ...part, text: '' } })
      frame('response.reasoning_summary_text.delta', { ...inPart, delta: part.text })
      frame('response.reasoning_summary_text.done', { ...inPart, text: part.text })
      frame('response.reasoning_summary_part.done', { ...inPart, part })
    })
    if (item.type === 'function_call') {
      frame('response.function_call_arguments.delta', { ...at, delta: item.arguments })
      frame('response.function_call_arguments.done', { ...at, name: item.name, arguments: item.arguments })
    } else if (item.type === 'custom_tool_call') {
      frame('response.custom_tool_call_input.delta', { ...at, delta: item.input })
      frame('response.custom_tool_call_input.done', { ...at, input: item.input })
    }
    frame('response.output_item.done', { output_index: index, item })
  })
  // A response that was cancelled has no event of its own: it did not complete.
  const status = response.status === 'cancelled' ? 'incomplete' : String(response.status)
  frame(`response.${status}`, { response })
  return frames
}

function listOf(list: unknown): readonly JsonObject[] {
  return Array.isArray(list) ? list : []
}

/** An item as it is when it begins. */
function emptied(item: JsonObject): JsonObject {
  const begun: JsonObject = { ...item, status: 'in_progress' }
  if (item.type === 'message') begun.content = []
  if (item.type === 'reasoning') {
    begun.summary = []
    delete begun.content
    delete begun.encrypted_content
  }
  if (typeof item.arguments === 'string') begun.arguments = ''
  if (typeof item.input === 'string') begun.input = ''
  return begun
}
