import { useEffect, useRef, useState } from 'react';
import { useClient, type Client, type CombinedError } from 'urql';
import { graphql } from '../../typescript/generated/gql.ts';
import type { DashboardQuery, DashboardQueryVariables } from '../../typescript/generated/graphql.ts';
import { clock } from './clock.ts';
import { DeploymentTable } from './deployment-table.tsx';
import { Figures } from './figures.tsx';
import { ModelTable } from './model-table.tsx';

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
    models(first: 50) {
      nodes {
        id
        path
        versions(first: 1) {
          nodes {
            number
            format
            createdAt
          }
        }
        aliases {
          name
          version {
            number
          }
        }
      }
      pageInfo {
        hasNextPage
      }
    }
  }
`);

/** How often the figures are read again when nothing happens. Lower: needless load and points; higher: costs stand still. */
const REFRESH_MS = 5_000;
/** How long after an event they are read: what comes with it is then there too. */
const SETTLE_MS = 300;
const DAY_MS = 86_400_000;

interface Answer {
  readonly data?: DashboardQuery;
  readonly readAt?: string;
  readonly problem?: string | null;
}

/** What is deployed and what it costs; read again when an event `happened` and every few seconds while somebody looks. */
export function Overview({ happened }: { readonly happened: string | null }) {
  const { data, readAt, problem } = useDashboard(happened);
  return (
    <>
      <p role="status" className="busy notice">
        {problem && `${problem} ${readAt ? `This is how it was at ${clock(readAt)}; ` : ''}trying again …`}
      </p>
      {data ? <Loaded data={data} /> : !problem && <p className="soft">Reading …</p>}
    </>
  );
}

const Loaded = ({ data }: { readonly data: DashboardQuery }) => (
  <>
    <Figures data={data} />
    <DeploymentTable deployments={data.deployments} />
    <ModelTable models={data.models} />
  </>
);

function useDashboard(happened: string | null): Answer {
  const client = useClient();
  const [answer, setAnswer] = useState<Answer>({});
  const wake = useRef<() => void>(() => undefined);
  useEffect(() => {
    const ended = new AbortController();
    const follow = async () => {
      for (;;) {
        // Made before the reading: what happens during it asks for another.
        const woken = new Promise<void>((resolve) => (wake.current = resolve));
        const next = await read(client);
        if (ended.signal.aborted) return;
        setAnswer((last) => ({ ...last, problem: null, ...next }));
        await Promise.race([untilDue(), woken]);
      }
    };
    void follow();
    return () => ended.abort();
  }, [client]);
  useEffect(() => {
    if (happened === null) return;
    const timer = setTimeout(() => wake.current(), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [happened]);
  return answer;
}

async function read(client: Client): Promise<Answer> {
  const now = Date.now();
  const range = { from: new Date(now - 30 * DAY_MS).toISOString(), to: new Date(now).toISOString() };
  const { data, error } = await client
    .query<DashboardQuery, DashboardQueryVariables>(Dashboard.toString(), { range }, { requestPolicy: 'network-only' })
    .toPromise();
  return data && !error ? { data, readAt: new Date(now).toISOString() } : { problem: inWords(error) };
}

const inWords = (error: CombinedError | undefined): string =>
  error?.graphQLErrors[0]?.message ?? 'The control plane does not answer.';

/** After a while, but not before somebody looks. */
async function untilDue(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
  if (document.hidden) await new Promise((resolve) => document.addEventListener('visibilitychange', resolve, { once: true }));
}
