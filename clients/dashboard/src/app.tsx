import { useMemo, useState } from 'react';
import { Provider } from 'urql';
import { makeClient } from './client.ts';
import { DeploymentList } from './deployment-list.tsx';
import { EventList } from './event-list.tsx';
import { forgetToken, readToken } from './session.ts';
import { SignIn } from './sign-in.tsx';

export function App() {
  const [token, setToken] = useState(readToken);
  const client = useMemo(() => (token ? makeClient(token) : null), [token]);
  if (!client) return <SignIn onDone={() => setToken(readToken())} />;

  function signOut() {
    forgetToken();
    setToken(null);
  }

  return (
    <Provider value={client}>
      <header>
        <h1>Purser</h1>
        <a href="/graphiql">GraphiQL</a>
        <button type="button" onClick={signOut}>
          Sign out
        </button>
      </header>
      <main>
        <DeploymentList />
        <EventList />
      </main>
    </Provider>
  );
}
