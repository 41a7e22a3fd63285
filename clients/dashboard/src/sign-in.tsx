import { useEffect, useId, useRef, useState, type SubmitEvent } from 'react';
import { keepToken, whyRefused } from './session.ts';

export interface SignInProps {
  /** Why somebody who was signed in is here again. */
  readonly reason?: string | null;
  readonly onDone: () => void;
}

/** Asks for a token and keeps it only if the API knows it. */
export function SignIn({ reason = null, onDone }: SignInProps) {
  const [token, setToken] = useState('');
  const [problem, setProblem] = useState(reason);
  const [asking, setAsking] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const problemId = useId();
  useEffect(() => field.current?.focus(), [problem]);

  async function submit(event: SubmitEvent) {
    event.preventDefault();
    const wanted = token.trim();
    if (asking || wanted === '') return;
    setAsking(true);
    setProblem(null);
    const refused = await whyRefused(wanted);
    setAsking(false);
    setProblem(refused);
    if (refused !== null) return;
    keepToken(wanted);
    onDone();
  }

  return (
    <main className="purser sign-in">
      <h1>Purser</h1>
      <p>
        Sign in with a token. The first administrator&rsquo;s is in the file <code>admin-token</code> that the start named.
      </p>
      <form onSubmit={(event) => void submit(event)}>
        <label>
          Token
          <input
            ref={field}
            type="password"
            autoComplete="off"
            spellCheck={false}
            value={token}
            onChange={(event) => setToken(event.target.value)}
            aria-invalid={problem !== null}
            aria-describedby={problemId}
          />
        </label>
        <button type="submit" className="main" aria-disabled={asking || token.trim() === ''}>
          {asking ? 'Signing in …' : 'Sign in'}
        </button>
      </form>
      <p id={problemId} role="alert">
        {problem}
      </p>
    </main>
  );
}
