// A real API whose file of clouds names a simulated market, machines of its own and commands; the command line asks it, in process.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../clients/cli/exit-codes.ts';
import type { ConfiguredCloud } from '../../src/clouds/configured-cloud.ts';
import { CloudsService } from '../../src/clouds/clouds.service.ts';
import { FileState } from '../../src/clouds/file-state.adapter.ts';
import { SimulatedCloud } from '../../src/clouds/simulated/simulated-cloud.adapter.ts';
import { SimulatedSettings } from '../../src/clouds/simulated/simulated-settings.adapter.ts';
import { NodeRepository } from '../../src/fleet/node.repository.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { DAY_MS, HOUR_MS, hourOf } from '../../src/kernel/instant.ts';
import { principalOf, seededRandom } from '../support/actors.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { openCli, type TestCli } from '../support/cli.ts';
import { FaultyProvider } from '../support/faulty-provider.ts';
import { uid } from '../support/nodes.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const folder = mkdtempSync(join(tmpdir(), 'purser-clouds-'));
const calls = join(folder, 'calls');
const play = {
  offerings: [{ region: 'north', zones: ['a'], instanceType: 'big', cpu: 4, memoryGib: 16, onDemand: '0.5', spot: '0.2' }],
  quota: 2,
};
const clock = { now: () => 0 };
let api: TestApi;
let admin: TestCli;

const command = (name: string, body: string): string[] => {
  const file = join(folder, name);
  writeFileSync(file, `#!/bin/sh\ncat > /dev/null\n${body}\n`);
  chmodSync(file, 0o755);
  return [file];
};

beforeAll(async () => {
  const cloudsFile = join(folder, 'clouds.json');
  const rack = [{ name: 'n1', type: 'big', cpu: 4, memoryGib: 16, pricePerHour: '0.35' }];
  writeFileSync(
    cloudsFile,
    JSON.stringify({
      play: { kind: 'simulated', ...play, prices: { regions: ['play/north'], everyMinutes: 5 } },
      rack: { kind: 'machines', machines: rack },
      well: { kind: 'command', command: command('well', 'echo []') },
      ill: { kind: 'command', command: command('ill', `echo x >> '${calls}'; echo "no such account" >&2; exit 3`) },
    }),
  );
  api = await startApi({ env: { PURSER_CLOUDS_FILE: cloudsFile } });
  admin = openCli({ PURSER_URL: api.url, PURSER_TOKEN: api.adminToken });
});
afterAll(async () => {
  admin.close();
  await api.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('Clouds by name: list and check', () => {
  test('the list says what each can do, and when its prices were read', async () => {
    expect(await admin.json('clouds')).toMatchObject([
      {
        name: 'play',
        kind: 'simulated',
        rentsMachines: true,
        hasBills: true,
        feed: { regions: ['play/north'], everySeconds: 300 },
      },
      { name: 'rack', kind: 'machines', rentsMachines: true, hasBills: false, feed: null },
      { name: 'well', kind: 'command' },
      { name: 'ill', kind: 'command' },
    ]);
    expect((await admin.run(['clouds', 'list'])).stdout).toMatch(/^play +simulated +yes +yes +play\/north +never$/m);
  });

  test('the check says of each what was found and what to mend; it ends with 3 while something failed', async () => {
    const { code, stdout } = await admin.run(['clouds', 'check']);
    expect(code).toBe(EXIT.REFUSED);
    expect(stdout).toMatch(/^play +credentials +ok +It asks for none\.$/m);
    expect(stdout).toMatch(/^play +prices +unknown +Not read yet; asked every 5 min\.$/m);
    expect(stdout).toMatch(/^rack +quota +ok +0 of 1 machines are taken\.$/m);
    expect(stdout).toMatch(/^well +permissions +ok +The command answers\.$/m);
    expect(stdout).toMatch(/^ill +permissions +failed +Mend the command: .*no such account$/m);
    const asked = () => readFileSync(calls, 'utf8').length;
    const before = asked();
    expect((await admin.run(['clouds', 'check', 'well'])).code).toBe(EXIT.OK);
    // Nobody else is asked.
    expect(asked()).toBe(before);
    expect((await admin.run(['clouds', 'check', 'nobody'])).code).toBe(EXIT.NOT_FOUND);
  });

  test('others than administrators of the platform see none, and no bill', async () => {
    const { token } = await api.tokenFor('team_admin', 'acme');
    const range = `range: { from: "2026-01-01T00:00:00Z", to: "2026-01-02T00:00:00Z" }`;
    const { data } = await api.gql(`{ clouds { name check { message } } cloudBill(cloud: "play", ${range}) { isFinal } }`, {
      token,
    });
    expect(data).toEqual({ clouds: [], cloudBill: null });
  });
});

describe('Clouds by name: bills', () => {
  test('the bill is by service and region, and sums to what ran', async () => {
    let now = hourOf(Date.now()) - 30 * HOUR_MS;
    const begun = now;
    const { market, priced } = SimulatedSettings.parse(play);
    const state = new FileState(join(api.dataDir, 'clouds', 'play'));
    const cloud = new SimulatedCloud({ name: 'play', clock: { now: () => now }, random: seededRandom(1), market, priced, state });
    const fence = { epoch: 1 };
    const pool = {
      ...{ key: 'here/east/p', region: 'north', zone: 'a', instanceType: 'big', capacityType: 'on_demand' as const },
      ...{ labels: {}, config: {} },
    };
    await cloud.ensurePool(pool, fence);
    await cloud.scalePool(pool.key, { desired: 2, release: [] }, fence);
    now += 4 * HOUR_MS;
    await cloud.deletePool(pool.key, fence);
    const day = (at: number) => new Date(at).toISOString().slice(0, 10);
    const range = ['--from', day(begun - DAY_MS), '--to', day(Date.now() + DAY_MS)];
    expect(await admin.json('clouds', 'bill', 'play', ...range)).toMatchObject({
      ...{ problem: null, isFinal: false, billedCost: { amount: '4' }, unreadableCount: 0 },
      shares: [{ service: 'Simulated machines', region: 'north', lines: 8, billedCost: { amount: '4' } }],
    });
    expect((await admin.run(['clouds', 'bill', 'play', ...range])).stdout).toContain('$4.00 billed, may still change');
    expect((await admin.run(['clouds', 'bill', 'rack', ...range])).code).toBe(EXIT.NOT_FOUND);
    expect((await admin.run(['clouds', 'bill', 'play', '--from', 'yesterday', '--to', 'now'])).code).toBe(EXIT.USAGE);
  });
});

describe('Clouds by name: pools that the settings do not reach', () => {
  test('the check names each whose machines may run and cannot be asked for', async () => {
    const insert = (table: string, columns: string, ...values: readonly unknown[]) =>
      api.db.database.write({ kind: 'reconciler', loop: 'test' }, (tx) =>
        sqlOf(tx).execute(`insert into ${table} (${columns}) values (${values.map((_, n) => `$${n + 1}`).join(', ')})`, values),
      );
    const [cluster, ...pools] = [uid(90_001), uid(90_002), uid(90_003)];
    await insert('cluster', 'id, name, kind, version, created_at', cluster, 'far', 'kubernetes', 1, 0);
    const columns = 'id, cluster_id, name, capacity_type, node_selector, version, created_at';
    for (const [n, id] of pools.entries()) await insert('pool', columns, id, cluster, `burst-${n}`, 'spot', '{}', 1, 0);
    const scaling = 'pool_id, provider, config, min_nodes, max_nodes, version, scaled_at';
    await insert('pool_scaling', scaling, pools[0], 'double', '{"region":"south"}', 0, 1, 1, 1);
    await insert('pool_scaling', scaling, pools[1], 'double', '{"region":"south"}', 0, 1, 1, null);
    const machines = new FaultyProvider(new SimulatedCloud({ name: 'double', clock, random: seededRandom(1) }), clock);
    const cloud = { name: 'double', kind: 'double', machines, prices: null, bill: null, check: null };
    const service = new CloudsService({
      ...{ clouds: [cloud], rentedPools: new NodeRepository(), feedAges: { feeds: () => Promise.resolve([]) } },
      ...{ database: api.db.database, clock, logger: quietLogger },
    });
    const check = () => service.check(principalOf('platform_admin', null), cloud);
    expect(await check()).toEqual([]);
    machines.outside = 'pools may be in north; not in "south"';
    expect(await check()).toMatchObject([{ aspect: 'permissions', status: 'failed' }]);
    expect((await check())[0]?.message).toMatch(/pool far\/burst-0 may run .* not in "south"/);
  });
});

describe('Clouds by name: one that does not answer', () => {
  const never = <T>(): Promise<T> => new Promise<T>(() => undefined);
  const cloud = (name: string, check: ConfiguredCloud['check']): ConfiguredCloud => ({
    ...{ name, kind: 'double', machines: null, prices: null, check },
    bill: { fetchBill: never },
  });
  const service = () =>
    new CloudsService({
      clouds: [cloud('hangs', { check: never }), cloud('bug', { check: () => Promise.reject(new Error('secret words')) })],
      rentedPools: { rentedFrom: () => Promise.resolve([]) },
      ...{ feedAges: { feeds: () => Promise.resolve([]) }, database: api.db.database, clock: { now: () => 0 } },
      ...{ logger: quietLogger, answerMs: 50 },
    });
  const somebody = principalOf('platform_admin', null);

  test('one that hangs is unknown after a while, and says so; what went wrong here is for the log', async () => {
    const clouds = service().list(somebody);
    const found = await Promise.all(clouds.map((one) => service().check(somebody, one)));
    expect(found.flat()).toEqual([
      { aspect: 'credentials', status: 'unknown', message: 'It cannot be asked: no answer within 0.05 s.' },
      { aspect: 'credentials', status: 'unknown', message: 'It could not be asked; the log says why.' },
    ]);
    expect(await service().bill(somebody, { cloud: 'hangs', from: 0, to: 1 })).toEqual({
      problem: 'It cannot be asked: no answer within 0.05 s.',
    });
  });

  test('however often one that hangs is asked the same, it is asked once; of other questions it collects only a few', async () => {
    let asked = 0;
    const check = () => {
      asked += 1;
      return never<never>();
    };
    const counted = cloud('hangs', { check });
    const clouds = new CloudsService({
      ...{ clouds: [counted], rentedPools: { rentedFrom: () => Promise.resolve([]) }, logger: quietLogger, answerMs: 20 },
      ...{ feedAges: { feeds: () => Promise.resolve([]) }, database: api.db.database, clock: { now: () => 0 } },
    });
    for (let n = 0; n < 3; n += 1) await Promise.all([clouds.check(somebody, counted), clouds.check(somebody, counted)]);
    expect(asked).toBe(1);
    const bills = await Promise.all([1, 2, 3, 4, 5].map((to) => clouds.bill(somebody, { cloud: 'hangs', from: 0, to })));
    expect(bills.filter((one) => one && 'problem' in one && /4 earlier questions/.test(one.problem))).toHaveLength(2);
  });
});
