// The first admin token of a repository, minted with its bootstrap secret.
import { ApiError, callApi } from './api.ts'

/** How long it is good for. */
export const ADMIN_DAYS = 365

/** Undefined: an admin token was used already, and the secret mints no more. @throws ApiError */
export async function mintFirst(
  service: string,
  bootstrapSecret: string,
  scopes: readonly string[],
): Promise<string | undefined> {
  const expires = Math.floor(Date.now() / 1000) + ADMIN_DAYS * 86_400
  const body = { name: 'first admin', scopes, allProjects: true, expires }
  try {
    return (await callApi<{ token: string }>(service, 'POST', '/api/tokens', { token: bootstrapSecret, body })).token
  } catch (error) {
    if (error instanceof ApiError && error.status === 403) return undefined
    throw error
  }
}
