import type { JsonObject } from '../inference/request.ts'
import { isObject } from '../wire/json-object.ts'

/*
 * Custom tools take free text where functions take JSON. Engines know functions alone, so a custom tool runs as a function with one
 * string, and its calls are turned back on the way to the client.
 */

/** The one parameter of the function. */
const INPUT = 'input'

/** A custom tool, in whichever API it was declared. */
export interface CustomTool {
  readonly name: string
  readonly description: unknown
  /** What its text has to follow: told to the model, since what enforces JSON cannot enforce another within one of its strings. */
  readonly grammar: { readonly syntax: unknown; readonly definition: unknown } | null
}

/** The function that a custom tool runs as, as chat declares it. */
export function customFunction({ name, description, grammar }: CustomTool): JsonObject {
  const rule =
    grammar === null
      ? undefined
      : `The input has to follow this ${String(grammar.syntax ?? 'lark')} grammar:\n${String(grammar.definition ?? '')}`
  const told = [description, rule].filter(text => typeof text === 'string' && text !== '').join('\n\n')
  return {
    name,
    ...(told !== '' && { description: told }),
    parameters: {
      type: 'object',
      properties: { [INPUT]: { type: 'string', description: 'The whole input of the tool, as free text.' } },
      required: [INPUT],
      additionalProperties: false,
    },
  }
}

/** The arguments that the function is called with. */
export function customArguments(input: string): string {
  return JSON.stringify({ [INPUT]: input })
}

/** The free text in a call's JSON arguments. A model that did not keep to the form still said something: then all of it. */
export function customInput(argumentsJson: string): string {
  try {
    const parsed: unknown = JSON.parse(argumentsJson)
    if (isObject(parsed) && typeof parsed[INPUT] === 'string') return parsed[INPUT]
  } catch {
    // Cut off, or not JSON.
  }
  return argumentsJson
}
