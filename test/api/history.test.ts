// Changes limits, quotas, aliases and clusters through the API and compares each row's append-only twin with what was asked for.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newId } from '../../src/kernel/id.ts';
import { ClusterUseRepository } from '../../src/deployments/cluster-use.repository.ts';
import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import { FleetService } from '../../src/fleet/fleet.service.ts';
import { Commands } from '../../src/persistence/commands.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { systemClock, systemRandom } from '../../src/main/system-clock.ts';
import { startApi, type TestApi } from '../support/api.ts';

const SCOPE = { kind: 'reconciler', loop: 'test' } as const;

let api: TestApi;
beforeAll(async () => {
  api = await startApi();
  await change('createTeam(input: { name: "crew" })');
  await change('createProject(input: { team: { path: "crew" }, name: "deck", maxReplicas: 3 })');
});
afterAll(() => api.close());

async function change(mutation: string): Promise<void> {
  const { errors, text } = await api.gql(`mutation { ${mutation} { userErrors { code message } } }`);
  expect(errors, text).toBeUndefined();
  expect(text).toContain('"userErrors":[]');
}

const rows = (text: string) => api.db.database.read(SCOPE, (tx) => sqlOf(tx).query(text));
const who = async () => {
  const { data } = await api.gql<{ viewer: { principal: { id: string } } }>('{ viewer { principal { id } } }');
  return Buffer.from(data?.viewer.principal.id ?? '', 'base64url')
    .toString()
    .split(':')[1];
};

describe('What was wished at any instant is kept from the start', () => {
  test('limits of a project', async () => {
    await change('updateProject(input: { project: { path: "crew/deck" }, maxReplicas: 7 })');
    await change('updateProject(input: { project: { path: "crew/deck" }, maxSpendPerHour: "2.5" }, expectedVersion: 2)');
    expect(
      await rows(`select generation, max_replicas, max_spend_per_hour::text as spend from project_history order by generation`),
    ).toEqual([
      { generation: 1, max_replicas: 3, spend: '5000000000000' },
      { generation: 2, max_replicas: 7, spend: '5000000000000' },
      { generation: 3, max_replicas: 7, spend: '2500000000000' },
    ]);
    expect(await rows(`select distinct principal from project_history`)).toEqual([{ principal: await who() }]);
  });

  test('quotas', async () => {
    for (const maximum of ['5', '9'])
      await change(`setQuota(input: { team: { path: "crew" }, resource: REPLICAS, maximum: "${maximum}" })`);
    expect(
      await rows(`select h.generation, h.maximum::text from quota_history h join quota q on q.id = h.quota_id order by 1`),
    ).toEqual([
      { generation: 1, maximum: '5' },
      { generation: 2, maximum: '9' },
    ]);
  });

  test('clusters: registered, moved to another machine, cordoned', async () => {
    const { database } = api.db;
    const shared = { clock: systemClock, random: systemRandom, store: new ClusterRepository() };
    const fleet = new FleetService({
      ...shared,
      use: new ClusterUseRepository(),
      commands: new Commands({ database, clock: systemClock }),
    });
    for (const machineId of ['one', 'two']) await database.write(SCOPE, (tx) => fleet.ensureLocalCluster(tx, { machineId }));
    const { data } = await api.gql<{ clusters: { nodes: { id: string }[] } }>('{ clusters { nodes { id } } }');
    await change(`cordonCluster(input: { cluster: "${data?.clusters.nodes[0]?.id ?? ''}" })`);
    expect(await rows(`select generation, machine_id, cordoned from cluster_history order by generation`)).toEqual([
      { generation: 1, machine_id: 'one', cordoned: false },
      { generation: 2, machine_id: 'two', cordoned: false },
      { generation: 3, machine_id: 'two', cordoned: true },
    ]);
  });

  test('a change that is refused leaves no trace, and what is written stays', async () => {
    const before = await rows(`select count(*)::int as n from project_history`);
    const { text } = await api.gql(
      'mutation { updateProject(input: { project: { path: "crew/deck" }, maxReplicas: 1 }, expectedVersion: 1) { userErrors { code } } }',
    );
    expect(text).toContain('CONFLICT');
    expect(await rows(`select count(*)::int as n from project_history`)).toEqual(before);
    for (const table of [
      'project_history',
      'quota_history',
      'cluster_history',
      'deployment_history',
      'rollout_history',
      'model_alias_history',
    ]) {
      const forged = api.db.database.write(SCOPE, (tx) => sqlOf(tx).execute(`truncate ${table}`));
      await expect(forged, table).rejects.toThrow();
    }
    for (const table of ['project_history', 'quota_history', 'cluster_history']) {
      const forged = api.db.database.write(SCOPE, (tx) =>
        sqlOf(tx).execute(`update ${table} set principal = $1`, [newId(0, systemRandom)]),
      );
      await expect(forged, table).rejects.toThrow();
    }
  });
});
