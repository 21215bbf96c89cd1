import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { ApiError } from '../errors.ts'
import { SCOPED_TOKEN_PREFIX, type ScopedToken } from '../inference/scoped-token.ts'

/** Most presented tokens whose signature is remembered; beyond it memory is forgotten whole. */
const REMEMBERED_MAX = 10_000
/** Longer ones were not made here. */
const TOKEN_CHARS_MAX = 8192
/** What the secret is derived for, so that it serves nothing else. */
const PURPOSE = 'headrace scoped tokens'
const SECRET_BYTES = 32

const NOT_OURS =
  'This token was not made here. Tokens that a client signs with its own API key cannot be checked, since of keys only hashes are kept: have it made by POST /v1/scoped-jwt.'

/**
 * The scoped tokens that are not over, and the secret that they are signed with, which is derived from the pepper. A token's signature
 * alone gives no right: it also has to be on the books, so that it can be revoked and what is spent with it is known.
 *
 * They are JSON Web Tokens with the one algorithm HS256 in the form of DeepInfra's (`kid` is `<org>:<base64 of the key's name>`).
 */
export class ScopedTokens {
  readonly #secret: Buffer
  readonly #tokens = new Map<string, ScopedToken>()
  readonly #perOrg = new Map<string, number>()
  /** Ids of tokens whose signature was found good, by the text as presented. */
  readonly #checked = new Map<string, string>()

  constructor(pepper: Uint8Array) {
    this.#secret = Buffer.from(hkdfSync('sha256', pepper, '', PURPOSE, SECRET_BYTES))
  }

  /**
   * The text of a token, for whoever is to use it. What it may do is read from the books: models that make the text too long for a header
   * are left out.
   */
  sign(token: ScopedToken, keyName: string): string {
    const text = this.#text(token, keyName)
    return text.length <= TOKEN_CHARS_MAX ? text : this.#text({ ...token, models: null }, keyName)
  }

  #text(token: ScopedToken, keyName: string): string {
    const { id, orgId, models, limitNanodollars, createdMs, expiresMs } = token
    const header = { alg: 'HS256', kid: `${orgId}:${Buffer.from(keyName).toString('base64')}`, typ: 'JWT' }
    const payload = {
      sub: orgId,
      jti: id,
      iat: Math.floor(createdMs / 1000),
      exp: Math.floor(expiresMs / 1000),
      ...(models?.length === 1 && { model: models[0] }),
      ...(models !== null && { models }),
      ...(limitNanodollars !== null && { spending_limit_nanodollars: String(limitNanodollars) }),
    }
    const signed = `${encoded(header)}.${encoded(payload)}`
    return `${SCOPED_TOKEN_PREFIX}${signed}.${this.#signature(signed).toString('base64url')}`
  }

  /**
   * The token that a client presents, whether it is over or not.
   *
   * @param presented with its prefix.
   * @throws ApiError 401 when it was not made here, or has been over for so long that it is forgotten.
   */
  read(presented: string): ScopedToken {
    let id = this.#checked.get(presented)
    if (id === undefined) {
      id = this.#check(presented)
      if (this.#checked.size >= REMEMBERED_MAX) this.#checked.clear()
      this.#checked.set(presented, id)
    }
    const token = this.#tokens.get(id)
    if (token === undefined) throw new ApiError('revoked_api_key', 'This token is over, or not known here any more.')
    return token
  }

  find(id: string): ScopedToken | undefined {
    return this.#tokens.get(id)
  }

  /** Those of an org, in the order in which they were made. */
  ofOrg(orgId: string): ScopedToken[] {
    if (!this.#perOrg.has(orgId)) return []
    const own = [...this.#tokens.values()].filter(token => token.orgId === orgId)
    return own.sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** How many of an org are known. */
  countOfOrg(orgId: string): number {
    return this.#perOrg.get(orgId) ?? 0
  }

  /** Adds a token that is on the books, or what became of one. */
  put(token: ScopedToken): void {
    if (!this.#tokens.has(token.id)) this.#perOrg.set(token.orgId, this.countOfOrg(token.orgId) + 1)
    this.#tokens.set(token.id, token)
  }

  /** Forgets the tokens that were over before `beforeMs`; answers their ids. */
  forget(beforeMs: number): string[] {
    const gone: string[] = []
    for (const [id, { orgId, expiresMs }] of this.#tokens) {
      if (expiresMs >= beforeMs) continue
      gone.push(id)
      this.#tokens.delete(id)
      const left = this.countOfOrg(orgId) - 1
      if (left > 0) this.#perOrg.set(orgId, left)
      else this.#perOrg.delete(orgId)
    }
    return gone
  }

  #check(presented: string): string {
    const parts = presented.slice(SCOPED_TOKEN_PREFIX.length).split('.')
    const [header = '', payload = '', signature = ''] = parts
    if (presented.length > TOKEN_CHARS_MAX || parts.length !== 3) throw new ApiError('invalid_api_key', NOT_OURS)
    // The signature first: nothing of what is not ours is interpreted, the algorithm that it names least of all.
    const expected = Buffer.from(this.#signature(`${header}.${payload}`).toString('base64url'))
    // As text, which has one form: what is remembered of a token is one text, however it is presented.
    const given = Buffer.from(signature)
    if (given.length !== expected.length || !timingSafeEqual(given, expected))
      throw new ApiError('invalid_api_key', NOT_OURS)
    return String((JSON.parse(Buffer.from(payload, 'base64url').toString()) as { jti: unknown }).jti)
  }

  #signature(text: string): Buffer {
    return createHmac('sha256', this.#secret).update(text).digest()
  }
}

function encoded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}
