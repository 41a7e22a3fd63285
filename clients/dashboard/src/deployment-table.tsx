import type { DashboardQuery } from '../../typescript/generated/graphql.ts';
import { requestsOf, servingOf } from './counts.ts';
import { Money } from './money.tsx';
import { Table, type Column } from './table.tsx';

type Deployment = DashboardQuery['deployments']['nodes'][number];

const TONE: Readonly<Record<string, string>> = { READY: 'good', FAILED: 'bad', DEGRADED: 'bad', HIBERNATED: 'soft' };

const COLUMNS: readonly Column<Deployment>[] = [
  {
    name: 'Deployment',
    of: ({ path, endpoint }) => (
      <>
        {path}
        <code className="soft under">{endpoint.url}</code>
      </>
    ),
  },
  { name: 'State', of: (deployment) => <State deployment={deployment} /> },
  { name: 'Model', of: ({ revision }) => <Version revision={revision} /> },
  {
    name: 'Replicas',
    of: (deployment) => (
      <span className="unbroken">
        {servingOf(deployment)} of {deployment.replicas.length} serving
      </span>
    ),
  },
  { name: 'Requests', number: true, of: ({ costs }) => requestsOf(costs).toLocaleString('en') },
  { name: 'Cost, 30 days', number: true, of: ({ costs }) => <Money amount={costs.total.amount} /> },
  { name: 'Per month', number: true, of: ({ monthlyEstimate }) => <Money amount={monthlyEstimate.amount} /> },
];

export function DeploymentTable({ deployments }: { readonly deployments: DashboardQuery['deployments'] }) {
  return (
    <Table
      title="Deployments"
      columns={COLUMNS}
      items={deployments.nodes}
      empty={
        <>
          There is none that this token may see. To make one: <code>purser deploy TEAM/PROJECT/NAME --plan</code>
        </>
      }
      more={deployments.pageInfo.hasNextPage ? 'The first 50 are shown; all of them: purser get' : null}
    />
  );
}

function State({ deployment: { status } }: { readonly deployment: Deployment }) {
  const problem = status.conditions.find((condition) => condition.type === 'Ready' && condition.status === 'False')?.message;
  return (
    <>
      <span className={`pill ${TONE[status.phase] ?? 'busy'}`}>{status.phase}</span>
      {status.phase !== 'READY' && problem && <span className="soft under">{problem}</span>}
    </>
  );
}

function Version({ revision }: { readonly revision: Deployment['revision'] }) {
  const version = revision?.modelVersion;
  if (!version) return '–';
  return (
    <>
      {version.model.name} <span className="unbroken">version {version.number}</span>
      <span className="soft under">revision {revision.number}</span>
    </>
  );
}
