const TOKEN = 'token:'

/** Name of an API key's cap among the budgets of the books. */
export function keyBudget(keyId: string): string {
  return `key:${keyId}`
}

/** Name of a scoped token's spending limit among the budgets of the books. */
export function tokenBudget(tokenId: string): string {
  return `${TOKEN}${tokenId}`
}

/** Whether a budget is the spending limit of a token. */
export function isTokenBudget(budgetId: string | null): boolean {
  return budgetId?.startsWith(TOKEN) === true
}
