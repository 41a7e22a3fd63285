import { useEffect, useState } from 'react';
import { useQuery } from 'urql';
import { graphql } from '../../typescript/generated/gql.ts';
import type { DashboardQuery, DashboardQueryVariables } from '../../typescript/generated/graphql.ts';
import { dollars } from './dollars.ts';

const Dashboard = graphql(`
  query Dashboard($range: TimeRange!) {
    deployments(first: 50) {
      nodes {
        id
        path
        endpoint {
          url
        }
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
          modelVersion {
            number
            model {
              name
            }
          }
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
          rows {
            requests
          }
        }
      }
      pageInfo {
        hasNextPage
      }
    }
    costs(range: $range, groupBy: []) {
      total {
        amount
      }
      isEstimate
      rows {
        requests
      }
    }
  }
`);

/** How often the table is read again. Lower: needless load; higher: stale state on screen. */
const REFRESH_MS = 2_000;
const DAY_MS = 86_400_000;

const TONE: Readonly<Record<string, string>> = { READY: 'good', FAILED: 'bad', DEGRADED: 'bad' };

type Deployment = DashboardQuery['deployments']['nodes'][number];

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
    <>
      {error && <p role="alert">{error.message}</p>}
      {shown && <Figures data={shown} />}
      <section>
        <h2>Deployments</h2>
        {shown && <Table data={shown} />}
      </section>
    </>
  );
}

const servingOf = (deployment: Deployment): number => deployment.replicas.filter((replica) => replica.state === 'SERVING').length;

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

function Figures({ data }: { readonly data: DashboardQuery }) {
  const { nodes } = data.deployments;
  return (
    <dl className="figures">
      <div>
        <dt>Deployments ready</dt>
        <dd>
          {nodes.filter((deployment) => deployment.status.phase === 'READY').length} <small>of {nodes.length}</small>
        </dd>
      </div>
      <div>
        <dt>Replicas serving</dt>
        <dd>
          {sum(nodes.map(servingOf))} <small>of {sum(nodes.map((deployment) => deployment.replicas.length))}</small>
        </dd>
      </div>
      <div>
        <dt>Requests, 30 days</dt>
        <dd>{sum(data.costs.rows.map((row) => row.requests)).toLocaleString('en')}</dd>
      </div>
      <div>
        <dt>Cost so far, 30 days</dt>
        <dd>
          <span data-testid="total">{dollars(data.costs.total.amount)}</span>
          {data.costs.isEstimate && <small title="The newest minutes are still open."> estimate</small>}
        </dd>
      </div>
    </dl>
  );
}

function Table({ data }: { readonly data: DashboardQuery }) {
  if (data.deployments.nodes.length === 0) {
    return (
      <p className="soft">
        Nothing is deployed yet. Next: <code>purser deploy TEAM/PROJECT/NAME --plan</code>
      </p>
    );
  }
  return (
    <div className="wide">
      <table>
        <thead>
          <tr>
            <th>Deployment</th>
            <th>State</th>
            <th>Model</th>
            <th>Replicas</th>
            <th className="number">Requests</th>
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
      {data.deployments.pageInfo.hasNextPage && <p className="soft">The first 50 are shown; all of them: purser get</p>}
    </div>
  );
}

function Row({ deployment }: { readonly deployment: Deployment }) {
  const { path, endpoint, status, revision, replicas, costs, monthlyEstimate } = deployment;
  const problem = status.conditions.find((condition) => condition.type === 'Ready' && condition.status === 'False')?.message;
  const version = revision?.modelVersion;
  return (
    <tr>
      <td>
        {path}
        <div className="soft small">{endpoint.url}</div>
      </td>
      <td>
        <span className={`pill ${TONE[status.phase] ?? 'busy'}`}>{status.phase}</span>
        {status.phase !== 'READY' && problem && <div className="soft small">{problem}</div>}
      </td>
      <td>
        {version ? `${version.model.name} ${version.number}` : '–'}
        <div className="soft small">revision {revision?.number ?? '–'}</div>
      </td>
      <td>
        {servingOf(deployment)} of {replicas.length} serving
      </td>
      <td className="number">{sum(costs.rows.map((row) => row.requests)).toLocaleString('en')}</td>
      <td className="number">{dollars(costs.total.amount)}</td>
      <td className="number">{dollars(monthlyEstimate.amount)}</td>
    </tr>
  );
}
