import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './style.css';
import { useEffect, useMemo, useState } from 'react';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { createClient } from 'graphql-ws';
import { createRoot } from 'react-dom/client';
import { Header } from './header.tsx';
import { forgetToken, readToken, REFUSED, whyRefused } from './session.ts';
import { SignIn } from './sign-in.tsx';
import { socketUrl } from './socket-url.ts';

const EXAMPLE = `# Deployments with their state. Ctrl-Enter runs it.
query Deployments {
  deployments {
    nodes {
      path
      status { phase }
      monthlyEstimate { amount currency }
    }
  }
}

# What happens, as it happens.
subscription Events {
  events(last: 5) {
    ... on Event { at type message }
    ... on Heartbeat { cursor }
  }
}
`;

/** The token is asked about first: the editor would show a refusal as a broken schema. */
function Page() {
  const [token, setToken] = useState(readToken);
  const [reason, setReason] = useState<string | null>(null);
  const leave = (why: string | null) => {
    forgetToken();
    setReason(why);
    setToken(null);
  };
  useEffect(() => {
    if (token === null) return;
    void whyRefused(token).then((why) => {
      if (why === REFUSED) leave(why);
    });
  }, [token]);
  if (token === null) return <SignIn reason={reason} onDone={() => setToken(readToken())} />;
  return (
    <div className="editor">
      <Header page="graphiql" onSignOut={() => leave(null)} />
      <Editor token={token} />
    </div>
  );
}

function Editor({ token }: { readonly token: string }) {
  const fetcher = useMemo(() => {
    const authorization = `Bearer ${token}`;
    const wsClient = createClient({ url: socketUrl(), connectionParams: { authorization } });
    return createGraphiQLFetcher({ url: '/graphql', headers: { authorization }, wsClient });
  }, [token]);
  return <GraphiQL fetcher={fetcher} defaultQuery={EXAMPLE} showPersistHeadersSettings={false} />;
}

const root = document.getElementById('root');
if (root) createRoot(root).render(<Page />);
