import { useMemo, useState } from 'react';
import { Provider, useQuery } from 'urql';
import { graphql } from '../../typescript/generated/gql.ts';
import type { SignedInQuery } from '../../typescript/generated/graphql.ts';
import { makeConnection } from './connection.ts';
import { EventList } from './event-list.tsx';
import { Header } from './header.tsx';
import { Overview } from './overview.tsx';
import { forgetToken, readToken, REFUSED } from './session.ts';
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
  const [reason, setReason] = useState<string | null>(null);
  const leave = (why: string | null) => {
    forgetToken();
    setReason(why);
    setToken(null);
  };
  if (token === null) return <SignIn reason={reason} onDone={() => setToken(readToken())} />;
  return <Session key={token} token={token} onLeave={leave} />;
}

interface SessionProps {
  readonly token: string;
  readonly onLeave: (why: string | null) => void;
}

function Session({ token, onLeave }: SessionProps) {
  const [live, setLive] = useState(false);
  const [happened, setHappened] = useState<string | null>(null);
  const connection = useMemo(() => {
    const onLive = (now: boolean) => {
      setLive(now);
      // Cut off may mean refused: the next reading tells.
      if (!now) setHappened(`cut off at ${Date.now()}`);
    };
    return makeConnection(token, { onRefused: () => onLeave(REFUSED), onLive });
  }, [token]);
  return (
    <Provider value={connection}>
      <NamedHeader onSignOut={() => onLeave(null)} />
      <main className="purser">
        <Overview happened={happened} />
        <EventList live={live} onEvent={setHappened} />
      </main>
    </Provider>
  );
}

function NamedHeader({ onSignOut }: { readonly onSignOut: () => void }) {
  const [{ data }] = useQuery<SignedInQuery>({ query: SignedIn.toString() });
  return <Header page="overview" name={data?.viewer.principal.name} onSignOut={onSignOut} />;
}
