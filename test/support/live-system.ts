import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inferBody } from '../../clients/cli/demo.ts';
import { packageRoot as root } from '../../src/main/package-root.ts';
import { makeClient } from '../../src/persistence/connection.ts';
import { socketUrl } from '../../src/persistence/postgres-server.ts';
import { eventually } from './eventually.ts';
import { databaseFolder, type Installation } from './installation.ts';
import { Load } from './load.ts';

/** The deployment that every start brings up. */
export const DIGITS = 'example/demo/digits';

interface Answer {
  readonly data: Record<string, unknown> | null;
  readonly errors?: readonly unknown[];
}

/** One GraphQL call with the admin's token; throws what was answered as an error. */
export async function ask<T>(
  purser: Pick<Installation, 'apiUrl' | 'adminToken'>,
  query: string,
  variables: object = {},
): Promise<T> {
  const response = await fetch(`${purser.apiUrl}/graphql`, {
    method: 'POST',
    headers: { authorization: `Bearer ${purser.adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables }),
    signal: AbortSignal.timeout(10_000),
  });
  const answer = (await response.json()) as Answer;
  if (answer.errors || !answer.data) throw new Error(JSON.stringify(answer.errors ?? answer));
  return answer.data as T;
}

/** Runs a mutation of one field and gives its payload; a user error is thrown. */
export async function change<T>(purser: Installation, query: string, variables: object = {}): Promise<T> {
  const [payload] = Object.values(await ask<Record<string, T & { userErrors: unknown[] }>>(purser, query, variables));
  if (!payload || payload.userErrors.length > 0) throw new Error(JSON.stringify(payload?.userErrors));
  return payload;
}

const [example] = JSON.parse(readFileSync(join(root, 'deploy/example/digits/cases.json'), 'utf8')) as { input: number[] }[];
const inferBytes = JSON.stringify(inferBody(example?.input ?? []));

/** Callers of the example's model through the router. */
export function callDigits(purser: Installation, callers: number, token = purser.adminToken, path = DIGITS): Load {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const name = path.split('/').at(-1) ?? '';
  return new Load(`${purser.routerUrl}/${path}/v2/models/${name}/infer`, headers, callers, inferBytes);
}

/** One request to the example's model; gives the status. */
export async function callOnce(purser: Installation, token: string): Promise<number> {
  const response = await fetch(`${purser.routerUrl}/${DIGITS}/v2/models/digits/infer`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: inferBytes,
  });
  await response.arrayBuffer();
  return response.status;
}

export interface Seen {
  readonly status: { readonly phase: string; readonly observedGeneration: number };
  readonly generation: number;
  readonly revision: { readonly number: number } | null;
  readonly rollout: { readonly state: string; readonly toRevision: number; readonly reason: string | null } | null;
  readonly replicas: readonly {
    readonly id: string;
    readonly state: string;
    readonly restarts: number;
    readonly address: string | null;
  }[];
}

const LOOK = `query ($path: String!) { deployment(by: { path: $path }) { generation status { phase observedGeneration } revision { number }
  rollout { state toRevision reason } replicas { id state restarts address } } }`;

/** A deployment as the API tells it. */
export async function look(purser: Installation, path = DIGITS): Promise<Seen> {
  const { deployment } = await ask<{ deployment: Seen | null }>(purser, LOOK, { path });
  if (!deployment) throw new Error(`${path} is not there`);
  return deployment;
}

/** Waits until the newest wish is true. */
export const untilReady = (purser: Installation, path = DIGITS): Promise<Seen> =>
  eventually(async () => {
    const seen = await look(purser, path);
    return seen.status.phase === 'READY' && seen.status.observedGeneration === seen.generation && seen;
  }, 60_000);

/** Requests that the ledger counts, of the last day and the running minute. */
export async function countedRequests(purser: Installation): Promise<number> {
  const range = { from: new Date(Date.now() - 86_400_000).toISOString(), to: new Date(Date.now() + 60_000).toISOString() };
  const query = `query ($range: TimeRange!) { costs(range: $range, groupBy: []) { rows { requests } } }`;
  const { costs } = await ask<{ costs: { rows: { requests: string }[] } }>(purser, query, { range });
  return costs.rows.reduce((sum, row) => sum + Number(row.requests), 0);
}

/** Registers the example's artifact once more as the next version; gives its number. */
export async function registerNextVersion(purser: Installation): Promise<number> {
  const { model } = await ask<{ model: { versions: { nodes: { artifact: { digest: string } | null }[] } } }>(
    purser,
    `query ($path: String!) { model(by: { path: $path }) { versions(first: 1) { nodes { artifact { digest } } } } }`,
    { path: DIGITS },
  );
  const digest = model.versions.nodes[0]?.artifact?.digest;
  const { modelVersion } = await change<{ modelVersion: { number: number } }>(
    purser,
    `mutation ($digest: String!, $path: String!) { registerModelVersion(input: { model: { path: $path }, artifactDigest: $digest,
      resources: { cpuMilli: 250, memoryMib: 256 } }) { modelVersion { number } userErrors { code message } } }`,
    { digest, path: DIGITS },
  );
  return modelVersion.number;
}

/** Deploys a version of a model under the model's name. */
export const deployVersion = (purser: Installation, input: object): Promise<unknown> =>
  change(purser, `mutation ($input: DeployInput!) { deploy(input: $input) { deployment { id } userErrors { code message } } }`, {
    input,
  });

/** Is the process there, and no zombie? */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return false;
  }
}

/** Of the installation's database, past every wall. */
export const databaseUrl = ({ dataDir }: Installation): string =>
  socketUrl(join(databaseFolder(dataDir), 'run'), 'postgres', 'purser');

/** Rows of the installation's database, past every wall. */
export async function rowsOf<R>(purser: Installation, text: string, values: readonly unknown[] = []): Promise<R[]> {
  const client = makeClient(databaseUrl(purser), 'purser test');
  await client.connect();
  try {
    return (await client.query(text, [...values])).rows as R[];
  } finally {
    await client.end();
  }
}
