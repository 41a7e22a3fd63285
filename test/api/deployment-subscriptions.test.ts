// Follows one deployment and its scaling over a socket: a cluster in memory and a clock moved by hand on the API's own database.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toGlobalId } from '../../src/graphql/global-id.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { makeControlPlane, makeGround, type ControlPlane } from '../support/deployments-world.ts';
import { eventually } from '../support/eventually.ts';

const STATUS = 'subscription ($id: ID!) { deployment(id: $id) { generation wishedReplicas status { phase } } }';
const SCALING =
  'subscription ($id: ID) { scaling(deployment: $id) { __typename ... on Event { type before after } ... on Heartbeat { cursor } } }';

interface Shown {
  readonly generation: number;
  readonly wishedReplicas: number;
  readonly status: { readonly phase: string };
}

let api: TestApi;
let plane: ControlPlane;
let id: string;

beforeAll(async () => {
  api = await startApi();
  plane = await makeControlPlane(await makeGround(api.db.database, 'acme'));
  expect(await plane.deploy(1)).toMatchObject({ ok: true });
  id = toGlobalId('Deployment', (await plane.until(({ phase }) => phase === 'READY')).id);
});
afterAll(() => api.close());

function follow<T>(token: string, query: string, wanted: string | null) {
  const seen: T[] = [];
  const state = { ended: false, errors: [] as unknown[] };
  const client = api.socket(token);
  client.subscribe<Record<string, T>>(
    { query, variables: { id: wanted } },
    {
      next: ({ data, errors }) => {
        if (errors) state.errors.push(errors);
        if (data) seen.push(...Object.values(data));
      },
      error: (error) => state.errors.push(error),
      complete: () => (state.ended = true),
    },
  );
  return { seen, state, client };
}

describe('API: the live status of one deployment', () => {
  test('of another team’s and of none it ends at once, without a value', async () => {
    const { token } = await api.tokenFor('team_admin', 'bystander');
    for (const wanted of [id, toGlobalId('Deployment', '00000000-0000-7000-8000-000000000001'), 'nonsense']) {
      const { seen, state, client } = follow(token, STATUS, wanted);
      await eventually(() => state.ended);
      expect([seen, state.errors]).toEqual([[], []]);
      await client.dispose();
    }
  });

  test('a change of the number of replicas is told by both, and only to those who may see it', async () => {
    const { token } = await api.tokenFor('team_admin', 'bystander');
    const status = follow<Shown>(api.adminToken, STATUS, id);
    const scaling = follow<{ __typename: string }>(api.adminToken, SCALING, id);
    const stranger = follow<{ __typename: string }>(token, SCALING, id);
    await eventually(() => status.seen.length > 0 && scaling.seen.length > 0 && stranger.seen.length > 0);
    expect(status.seen[0]).toEqual({ generation: 1, wishedReplicas: 1, status: { phase: 'READY' } });
    expect(await plane.deployments.scale(plane.caller, plane.ref, 2)).toMatchObject({ ok: true });
    await eventually(() => scaling.seen.some(({ __typename }) => __typename === 'Event'));
    await eventually(() => status.seen.at(-1)?.generation === 2);
    expect(status.seen.at(-1)?.wishedReplicas).toBe(2);
    expect(scaling.seen.filter(({ __typename }) => __typename === 'Event')).toEqual([
      { __typename: 'Event', type: 'scaling.changed', before: { replicas: 1 }, after: { replicas: 2 } },
    ]);
    expect(stranger.seen.every(({ __typename }) => __typename === 'Heartbeat')).toBe(true);
    for (const { client } of [status, scaling, stranger]) await client.dispose();
  });

  test('a deployment tells its newest events, each with what it is about; a stranger learns neither', async () => {
    const { token } = await api.tokenFor('team_admin', 'bystander');
    await api.events.sequence();
    const query = `query ($id: ID!, $path: String!) {
      node(id: $id) { ... on Deployment { events(first: 3) { ...told } } }
      events(filter: { deployment: $path }, last: 3) { events { ...told } } }
      fragment told on Event { cursor type subjectKind subjectId subject { id ... on Deployment { path } } }`;
    type Told = {
      cursor: string;
      type: string;
      subjectKind: string;
      subjectId: string;
      subject: { id: string; path?: string } | null;
    };
    const ask = (asker: string) =>
      api.gql<{ node: { events: Told[] } | null; events: { events: Told[] } }>(query, {
        token: asker,
        variables: { id, path: 'acme/demo/digits' },
      });
    const { data } = await ask(api.adminToken);
    const own = data?.node?.events ?? [];
    expect(own).toHaveLength(3);
    expect([...own].reverse()).toEqual(data?.events.events);
    const about = own.filter(({ subjectKind }) => subjectKind === 'Deployment');
    expect(about.length).toBeGreaterThan(0);
    for (const { subject, subjectId } of about) expect(subject).toEqual({ id: subjectId, path: 'acme/demo/digits' });
    expect((await ask(token)).data).toEqual({ node: null, events: { events: [] } });
  });

  test('the deployments of a model and of a version are read page by page', async () => {
    for (const name of ['digits-b', 'digits-c']) expect(await plane.deploy(1, { name })).toMatchObject({ ok: true });
    const page = 'deployments(first: 2, after: $after) { nodes { path } totalCount pageInfo { hasNextPage endCursor } }';
    const query = `query ($after: String) { model(by: { path: "acme/demo/digits" }) { ${page} versions(first: 3) { nodes { number ${page} } } } }`;
    interface Page {
      readonly nodes: { readonly path: string }[];
      readonly totalCount: number;
      readonly pageInfo: { readonly hasNextPage: boolean; readonly endCursor: string };
    }
    const ask = async (after: string | null) => {
      const { data } = await api.gql<{
        model: { deployments: Page; versions: { nodes: { number: number; deployments: Page }[] } };
      }>(query, { variables: { after } });
      return [data?.model.deployments, data?.model.versions.nodes.find(({ number }) => number === 1)?.deployments];
    };
    const first = await ask(null);
    const second = await ask(first[0]?.pageInfo.endCursor ?? null);
    for (const index of [0, 1]) {
      expect(first[index]).toMatchObject({ totalCount: 3, pageInfo: { hasNextPage: true } });
      expect(second[index]?.pageInfo.hasNextPage).toBe(false);
      const paths = [first, second].flatMap((pages) => pages[index]?.nodes.map(({ path }) => path) ?? []);
      expect(paths).toEqual(['acme/demo/digits', 'acme/demo/digits-b', 'acme/demo/digits-c']);
    }
  });

  test('it tells the deletion and ends when nothing runs any more', async () => {
    const { seen, state, client } = follow<Shown>(api.adminToken, STATUS, id);
    await eventually(() => seen.length > 0);
    expect(await plane.deployments.delete(plane.caller, plane.ref)).toMatchObject({ ok: true });
    await eventually(() => seen.at(-1)?.status.phase === 'DELETING');
    // The deployment cannot be looked up any more once it is gone: the passes end with that.
    await expect(plane.until(() => false, 20)).rejects.toThrow();
    await eventually(() => state.ended);
    expect(seen.at(-1)?.status.phase).toBe('DELETING');
    await client.dispose();
  });
});
