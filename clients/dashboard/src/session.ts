const KEY = 'purser-token';

/** The token of this tab only: it is gone when the tab is. */
export const readToken = (): string | null => sessionStorage.getItem(KEY);

export const keepToken = (token: string): void => sessionStorage.setItem(KEY, token);

export const forgetToken = (): void => sessionStorage.removeItem(KEY);

export const REFUSED = 'This token is unknown, expired or revoked.';

const CHECK = JSON.stringify({ query: '{ viewer { principal { name } } }' });

/** Why the API does not let this token in; null if it does. */
export async function whyRefused(token: string): Promise<string | null> {
  // What a header cannot carry is no token either.
  if (!/^[!-~]+$/.test(token)) return REFUSED;
  try {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
    const { ok, status } = await fetch('/graphql', { method: 'POST', headers, body: CHECK });
    if (ok) return null;
    return status === 401 ? REFUSED : `The control plane answered ${status}: try again in a moment.`;
  } catch {
    return 'The control plane does not answer: try again in a moment.';
  }
}
