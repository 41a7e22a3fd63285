import { useMemo, useState } from 'react';
import { Provider, useQuery } from 'urql';
import { graphql } from '../../typescript/generated/gql.ts';
import type { SignedInQuery } from '../../typescript/generated/graphql.ts';
import { makeClient } from './client.ts';
import { DeploymentList } from './deployment-list.tsx';
import { EventList } from './event-list.tsx';
import { forgetToken, readToken } from './session.ts';
import { SignIn } from './sign-in.tsx';

const SignedIn = graphql(`
  query SignedIn {
    viewer {
      principal {
        name
      }
    }
  }
`);

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
      <Header onSignOut={signOut} />
      <main>
        <DeploymentList />
        <EventList />
      </main>
    </Provider>
  );
}

function Header({ onSignOut }: { readonly onSignOut: () => void }) {
  const [{ data }] = useQuery<SignedInQuery>({ query: SignedIn.toString() });
  return (
    <header>
      <h1>Purser</h1>
      <span className="soft">{data?.viewer.principal.name}</span>
      <a href="/graphiql">GraphiQL</a>
      <button type="button" onClick={onSignOut}>
        Sign out
      </button>
    </header>
  );
}
