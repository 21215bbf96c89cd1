/** A text, or tokens by their ids. */
export type PlainInput = string | readonly number[]

/** Begin and end marks of one input, with room. */
const INPUT_OVERHEAD_TOKENS = 16

/** A field that takes a text, texts, token ids or lists of token ids, as one list. */
export function plainInputs(field: string | readonly (number | string | readonly number[])[]): readonly PlainInput[] {
  if (typeof field === 'string') return [field]
  return typeof field[0] === 'number' ? [field as readonly number[]] : (field as readonly PlainInput[])
}

/** Upper bound of the tokens of inputs that are read one by one: no tokenizer makes more tokens than bytes, marks aside. */
export function plainInputsTokensBound(inputs: readonly PlainInput[]): number {
  let bound = inputs.length * INPUT_OVERHEAD_TOKENS
  for (const input of inputs) bound += typeof input === 'string' ? Buffer.byteLength(input) : input.length
  return bound
}
