import { useState, type SubmitEvent } from 'react';
import { keepToken } from './session.ts';

const CHECK = JSON.stringify({ query: '{ viewer { principal { name } } }' });

/** Asks for a token and keeps it only if the API knows it. */
export function SignIn({ onDone }: { readonly onDone: () => void }) {
  const [token, setToken] = useState('');
  const [problem, setProblem] = useState<string | null>(null);

  async function submit(event: SubmitEvent) {
    event.preventDefault();
    const refused = await check(token.trim());
    if (refused) {
      setProblem(refused);
      return;
    }
    keepToken(token.trim());
    onDone();
  }

  return (
    <main className="sign-in">
      <h1>Purser</h1>
      <p>Sign in with a token. The first administrator&rsquo;s is in the file that the start printed.</p>
      <form onSubmit={(event) => void submit(event)}>
        <label>
          Token
          <input type="password" autoComplete="off" value={token} onChange={(event) => setToken(event.target.value)} autoFocus />
        </label>
        <button type="submit" disabled={token.trim() === ''}>
          Sign in
        </button>
      </form>
      {problem && <p role="alert">{problem}</p>}
    </main>
  );
}

async function check(token: string): Promise<string | null> {
  try {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
    const response = await fetch('/graphql', { method: 'POST', headers, body: CHECK });
    if (response.ok) return null;
    return response.status === 401 ? 'This token is unknown, expired or revoked.' : `The server answered ${response.status}.`;
  } catch {
    return 'The server does not answer.';
  }
}
