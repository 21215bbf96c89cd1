/** How a signature of ours begins; providers' own are base64 without dots. */
const PREFIX = 'hr1.'

/**
 * The signature of a thinking block whose model gave none: `hr1.` and the id of the answer, for people who wonder where a thought came
 * from. Clients have to get one and send it back with the block; nothing is ever checked against it.
 */
export function ownSignature(answerId: string): string {
  return `${PREFIX}${answerId}`
}

/** Whether a signature is one that this program made, so that no provider needs to see it. */
export function isOwnSignature(signature: string): boolean {
  return signature.startsWith(PREFIX)
}
