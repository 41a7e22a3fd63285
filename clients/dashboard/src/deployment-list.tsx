import { useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { graphql } from '../../typescript/generated/gql.ts';
import type { DashboardQuery, DashboardQueryVariables } from '../../typescript/generated/graphql.ts';

const Dashboard = graphql(`
  query Dashboard($range: TimeRange!) {
    deployments(first: 100) {
      nodes {
        id
        path
        status {
          phase
          conditions {
            type
            status
            message
          }
        }
        revision {
          number
        }
        replicas {
          id
          state
        }
        monthlyEstimate {
          amount
        }
        costs(range: $range) {
          total {
            amount
          }
        }
      }
    }
    costs(range: $range, groupBy: []) {
      total {
        amount
      }
      isEstimate
    }
  }
`);

/** How often the table is read again. Lower: needless load; higher: stale state on screen. */
const REFRESH_MS = 2_000;
const DAY_MS = 86_400_000;

const TONE: Readonly<Record<string, string>> = { READY: 'good', FAILED: 'bad', DEGRADED: 'bad' };

export function DeploymentList() {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), REFRESH_MS);
    return () => clearInterval(timer);
  }, []);
  const range = { from: new Date(now - 30 * DAY_MS).toISOString(), to: new Date(now).toISOString() };
  const [{ data, error }] = useQuery<DashboardQuery, DashboardQueryVariables>({
    query: Dashboard.toString(),
    variables: { range },
    requestPolicy: 'network-only',
  });
  const [shown, setShown] = useState(data);
  if (data && data !== shown) setShown(data);

  return (
    <section>
      <h2>Deployments</h2>
      {error && <p role="alert">{error.message}</p>}
      {shown && <Table data={shown} />}
    </section>
  );
}

function Table({ data }: { readonly data: DashboardQuery }) {
  if (data.deployments.nodes.length === 0) return <p className="soft">Nothing is deployed yet.</p>;
  return (
    <>
      <table>
        <thead>
          <tr>
            <th>Deployment</th>
            <th>State</th>
            <th>Revision</th>
            <th>Replicas</th>
            <th className="number">Cost, 30 days</th>
            <th className="number">Per month</th>
          </tr>
        </thead>
        <tbody>
          {data.deployments.nodes.map((deployment) => (
            <Row key={deployment.id} deployment={deployment} />
          ))}
        </tbody>
      </table>
      <p className="soft">
        Cost so far: <strong data-testid="total">{dollars(data.costs.total.amount)}</strong>
        {data.costs.isEstimate && ' (estimate: the newest minutes are open)'}
      </p>
    </>
  );
}

function Row({ deployment }: { readonly deployment: DashboardQuery['deployments']['nodes'][number] }) {
  const { path, status, revision, replicas, costs, monthlyEstimate } = deployment;
  const problem =
    status.phase === 'READY' ? undefined : status.conditions.find((condition) => condition.status === 'False')?.message;
  const serving = replicas.filter((replica) => replica.state === 'SERVING').length;
  return (
    <tr>
      <td>{path}</td>
      <td className={TONE[status.phase] ?? 'busy'}>
        {status.phase}
        {problem && <div className="soft">{problem}</div>}
      </td>
      <td>{revision?.number ?? '–'}</td>
      <td>
        {serving} of {replicas.length} serving
      </td>
      <td className="number">{dollars(costs.total.amount)}</td>
      <td className="number">{dollars(monthlyEstimate.amount)}</td>
    </tr>
  );
}

/** Exact text, cut to six decimals; the full amount is in GraphQL. */
function dollars(amount: string): string {
  const [whole, fraction = ''] = amount.split('.');
  return `$${whole}.${fraction.slice(0, 6).padEnd(2, '0')}`;
}
