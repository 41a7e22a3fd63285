import 'graphiql/setup-workers/vite';
import 'graphiql/style.css';
import './style.css';
import { createGraphiQLFetcher } from '@graphiql/toolkit';
import { GraphiQL } from 'graphiql';
import { createClient } from 'graphql-ws';
import { createRoot } from 'react-dom/client';
import { readToken } from './session.ts';
import { SignIn } from './sign-in.tsx';

const EXAMPLE = `# Deployments with their state. Ctrl-Enter runs it.
{
  viewer { principal { name } }
  deployments { nodes { path status { phase } monthlyEstimate { amount currency } } }
}
`;

function Page() {
  const token = readToken();
  if (!token) return <SignIn onDone={() => location.reload()} />;
  const socketUrl = `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/graphql`;
  const fetcher = createGraphiQLFetcher({
    url: '/graphql',
    headers: { authorization: `Bearer ${token}` },
    wsClient: createClient({ url: socketUrl, connectionParams: { authorization: `Bearer ${token}` } }),
  });
  return (
    <div style={{ height: '100vh' }}>
      <GraphiQL fetcher={fetcher} defaultQuery={EXAMPLE} />
    </div>
  );
}

const root = document.getElementById('root');
if (root) createRoot(root).render(<Page />);
