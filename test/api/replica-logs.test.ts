// What replicas write, asked for over the API on a cluster in memory: page by page, by those who may, and not by anybody else.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toGlobalId } from '../../src/graphql/global-id.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { makeControlPlane, makeGround, type Ground } from '../support/deployments-world.ts';

let api: TestApi;
let ground: Ground;
let replicaId: string;

beforeAll(async () => {
  api = await startApi();
  ground = await makeGround(api.db.database, 'acme');
  api.clusters.set(ground.clusterId, ground.cluster);
  const plane = await makeControlPlane(ground);
  await plane.deploy(1);
  await plane.until(({ phase }) => phase === 'READY');
  replicaId = (await ground.cluster.observe()).replicas[0]!.replicaId;
  for (let n = 1; n <= 5; n += 1) ground.cluster.write(replicaId, `line ${n}`);
});
afterAll(() => api.close());

interface Logs {
  readonly lines: readonly { readonly text: string; readonly stream: string; readonly at: string }[];
  readonly cursor: string;
}

const BY_ID = `query ($id: ID!, $limit: Int!, $cursor: String) {
  node(id: $id) { ... on Replica { logs(limit: $limit, cursor: $cursor) { lines { text stream at } cursor } } } }`;
const BY_PATH = 'query { deployment(by: { path: "acme/demo/digits" }) { replicas { logs { lines { text } } } } }';

const ask = (token: string, variables: object = {}, id = toGlobalId('Replica', replicaId)) =>
  api.gql<{ node: { logs: Logs } | null }>(BY_ID, { token, variables: { id, limit: 100, ...variables } });
const textsOf = (logs: Logs) => logs.lines.map(({ text }) => text);

describe('API: replicas', () => {
  test('a viewer of the team is told the cluster that each runs on', async () => {
    const { token } = await api.tokenFor('viewer', 'acme');
    const query = 'query { deployment(by: { path: "acme/demo/digits" }) { replicas { id cluster } } }';
    const seen = await api.gql<{ deployment: { replicas: object[] } }>(query, { token });
    expect(seen.data?.deployment.replicas).toEqual([{ id: toGlobalId('Replica', replicaId), cluster: 'acme' }]);
  });
});

describe('API: logs of replicas', () => {
  test('the newest lines, and from a cursor on what came since', async () => {
    const { token } = await api.tokenFor('operator', 'acme');
    const page = async (variables: object) => (await ask(token, variables)).data!.node!.logs;
    const newest = await page({ limit: 2 });
    expect(newest.lines).toMatchObject([{ text: 'line 4', stream: 'stdout' }, { text: 'line 5' }]);
    ground.cluster.write(replicaId, 'line 6');
    expect(textsOf(await page({ cursor: newest.cursor }))).toEqual(['line 6']);
    const { cursor } = await page({ cursor: '0', limit: 4 });
    expect(textsOf(await page({ cursor, limit: 1 }))).toEqual(['line 4']);
  });

  test('a viewer of the team sees the replica and none of its lines', async () => {
    const { token } = await api.tokenFor('viewer', 'acme');
    expect((await ask(token)).data?.node?.logs.lines).toEqual([]);
    const seen = await api.gql<{ deployment: { replicas: { logs: Logs }[] } }>(BY_PATH, { token });
    expect(seen.data?.deployment.replicas.map(({ logs }) => logs.lines)).toEqual([[]]);
  });

  test.each(['team_admin', 'operator', 'invoker'] as const)('for a %s of another team there is no such replica', async (role) => {
    const { token } = await api.tokenFor(role, 'other');
    const foreign = await ask(token);
    const absent = await ask(token, {}, toGlobalId('Replica', '00000000-0000-7000-8000-00000000beef'));
    expect(foreign.data).toEqual({ node: null });
    expect(absent.data).toEqual(foreign.data);
    expect((await api.gql(BY_PATH, { token })).data).toEqual({ deployment: null });
  });

  test('a cluster that is away is an outage that may be repeated, not a bug', async () => {
    ground.cluster.reachable = false;
    const { token } = await api.tokenFor('operator', 'acme');
    const [error] = (await ask(token)).errors ?? [];
    expect(error).toMatchObject({
      message: 'The cluster cannot be reached: repeat in a moment.',
      extensions: { code: 'UNAVAILABLE' },
    });
    expect(error?.extensions.retryAfterMs).toBeGreaterThan(0);
    ground.cluster.reachable = true;
  });
});
