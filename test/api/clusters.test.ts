// Clusters from outside, by GraphQL and by the command line, with the loops of a real control plane: registered, changed, rebuilt, held back,
// removed, always without a restart. What is registered leads to clusters in memory, by the file that their kubeconfig names.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT, type ExitCode } from '../../clients/cli/exit-codes.ts';
import { ClusterUnreachable } from '../../src/deployments/cluster.port.ts';
import { systemClock } from '../../src/main/system-clock.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { openCli, type TestCli } from '../support/cli.ts';
import { makeGround } from '../support/deployments-world.ts';
import { eventually } from '../support/eventually.ts';
import { SimulatedCluster } from '../support/simulated-cluster.ts';

const IMAGE = `registry.example/model-server@sha256:${'a'.repeat(64)}`;
/** By file: what is there, and how often a control plane has come and gone. */
const places = new Map(
  ['/east', '/elsewhere'].map((file) => [file, { cluster: new SimulatedCluster(systemClock), opened: 0, left: 0 }]),
);
const [east, elsewhere] = [places.get('/east')!, places.get('/elsewhere')!];

let api: TestApi;
let cli: TestCli;

beforeAll(async () => {
  api = await startApi({
    // Who rents machines, which nobody asks here.
    env: { PURSER_NODE_COMMAND: '/bin/false' },
    openCluster: ({ config }) => {
      const place = config?.access.kind === 'kubeconfig' ? places.get(config.access.file) : undefined;
      if (!place) return Promise.reject(new ClusterUnreachable('no such file'));
      place.opened += 1;
      const stop = () => Promise.resolve(void (place.left += 1));
      return Promise.resolve({ cluster: place.cluster, stop });
    },
  });
  cli = openCli({ PURSER_URL: api.url, PURSER_TOKEN: api.adminToken });
  await makeGround(api.db.database, 'acme');
});
afterAll(async () => {
  cli.close();
  await api.close();
});

interface Shown {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly config: { readonly routerCidrs: readonly string[]; readonly access: { readonly file: string } };
  readonly pools: readonly { readonly name: string; readonly nodeSelector: readonly object[] }[];
  readonly status: {
    readonly conditions: readonly { readonly type: string; readonly status: string; readonly message: string }[];
  };
  readonly heldRemovals: { readonly digest: string; readonly count: number } | null;
}
const show = (name = 'east') => cli.json<Shown>('clusters', 'show', name);
const condition = async (type: string, name = 'east') =>
  (await show(name)).status.conditions.find((one) => one.type === type)?.status;

async function mutate<T>(field: string, selection: string): Promise<T> {
  const { data, text } = await api.gql<Record<string, T>>(
    `mutation { ${field} { ${selection} userErrors { code message path hint } } }`,
  );
  const [payload] = Object.values(data ?? {});
  if (!payload) throw new Error(text);
  return payload;
}
const eventTypes = async () => {
  const { data } = await api.gql<{ events: { events: { type: string }[] } }>(
    `{ events(last: 50, filter: { types: ["cluster.", "pool."] }) { events { type } } }`,
  );
  return (data?.events.events ?? []).map(({ type }) => type);
};

describe('Several clusters: from the first to the last command, without a restart', () => {
  test('one is registered, and its loop starts', async () => {
    const args = ['--kubeconfig', '/east', '--model-server-image', IMAGE, '--router-cidr', '10.0.0.0/8'];
    const pools = ['--pool', 'default', 'burst:spot:tier=burst'];
    const ran = await cli.run(['clusters', 'register', 'east', ...args, ...pools]);
    expect(ran).toEqual({ code: EXIT.OK, stdout: 'east is registered. Next: purser clusters list\n', stderr: '' });
    await eventually(async () => expect(await condition('Reachable')).toBe('True'));
    expect((await cli.run(['clusters'])).stdout).toMatch(/\neast +KUBERNETES +burst default +yes +yes\n/);
    const { stdout } = await cli.run(['clusters', 'show', 'east']);
    expect(stdout).toMatch(/^SETTING +VALUE\nname +east\n/);
    expect(stdout).toMatch(/\nreached by +\/east\n[^]*\nburst +SPOT +tier=burst +no\n/);
  });

  test('what is deployed there runs there', async () => {
    const input = `{ project: { path: "acme/demo" }, name: "digits", model: "digits", modelVersion: 1, replicas: 2, clusters: [{ cluster: "east" }] }`;
    expect(await mutate('deploy(input: INPUT)'.replace('INPUT', input), 'deployment { id }')).toMatchObject({ userErrors: [] });
    await eventually(() => expect(east.cluster.running()).toEqual(['v1 serving ×2']));
  });

  test('a rebuild says what it would tell and changes nothing; done, it puts back what was changed in silence', async () => {
    const name = 'acme/demo/digits revision 1 on pool default with 2 replicas';
    const plan = await cli.run(['clusters', 'rebuild', 'east', '--plan']);
    expect(plan).toMatchObject({ code: EXIT.OK, stdout: `- Tell it ${name} again.\nNext: purser clusters rebuild east\n` });
    east.cluster.meddle((spec) => ({ ...spec, replicas: 0 }));
    const applied = east.cluster.effects.length;
    expect(await cli.json('clusters', 'rebuild', 'east')).toMatchObject({
      actions: [{ kind: 'KEEP' }],
      cluster: { name: 'east' },
    });
    await eventually(() => expect(east.cluster.effects.slice(applied)).toEqual(['apply v1 ×2']));
  });

  test('more strangers than may go unasked wait until a person lets exactly these go', async () => {
    const own = east.cluster.known();
    east.cluster.plant(4);
    await eventually(async () => expect(await condition('RemovalsHeld')).toBe('True'));
    const { heldRemovals } = await show();
    expect(heldRemovals?.count).toBe(4);
    const { stdout } = await cli.run(['clusters']);
    expect(stdout).toContain('east: It runs 4 workloads that the database does not know; up to 3 are removed unasked.\n');
    expect(stdout).toContain(`Next, if they may go: purser clusters approve-removals east ${heldRemovals?.digest ?? '?'}\n`);
    const wrong = await cli.run(['clusters', 'approve-removals', 'east', 'sha256:other']);
    expect(wrong.code).toBe(EXIT.REFUSED);
    expect(wrong.stderr).toMatch(/^CONFLICT \(input.digest\): .* look again\./);
    expect(east.cluster.known()).toHaveLength(5);
    await cli.json('clusters', 'approve-removals', 'east', heldRemovals?.digest ?? '');
    await eventually(() => expect(east.cluster.known()).toEqual(own));
    await eventually(async () => expect(await condition('RemovalsHeld')).toBe('False'));
    const nothing = await cli.run(['clusters', 'approve-removals', 'east', heldRemovals?.digest ?? '']);
    expect(nothing).toMatchObject({ code: EXIT.REFUSED, stderr: 'PRECONDITION_FAILED: Nothing waits for approval there.\n' });
  });

  test('it is changed: what is left out stays, the same again changes nothing, a stale version is refused', async () => {
    const before = await show();
    const changed = await cli.run([
      'clusters',
      'update',
      'east',
      '--router-cidr',
      '10.9.0.0/16',
      '--pool',
      'gpu',
      '--remove-pool',
      'burst',
    ]);
    expect(changed).toEqual({ code: EXIT.OK, stdout: 'east is changed. Next: purser clusters show east\n', stderr: '' });
    const after = await show();
    expect(after).toMatchObject({
      version: before.version + 1,
      config: { access: { file: '/east' }, routerCidrs: ['10.9.0.0/16'] },
    });
    expect(after.pools.map(({ name }) => name)).toEqual(['default', 'gpu']);
    await cli.json('clusters', 'update', 'east', '--router-cidr', '10.9.0.0/16');
    expect((await show()).version).toBe(after.version);
    const stale = `updateCluster(input: { cluster: "${after.id}", routerNamespace: "x" }, expectedVersion: 1)`;
    expect(await mutate(stale, 'cluster { id }')).toMatchObject({ cluster: null, userErrors: [{ code: 'CONFLICT' }] });
    expect(await eventTypes()).toEqual(expect.arrayContaining(['cluster.updated', 'pool.added', 'pool.removed']));
  });

  test('a loop goes on with the new settings: reached otherwise, it is another place that is told everything', async () => {
    const opened = east.opened;
    await cli.json('clusters', 'update', 'east', '--kubeconfig', '/elsewhere');
    await eventually(() => expect(elsewhere.cluster.running()).toEqual(['v1 serving ×2']));
    expect([east.opened, east.left]).toEqual([opened, opened]);
    expect(elsewhere.cluster.known()).toEqual(east.cluster.known());
    await cli.json('clusters', 'update', 'east', '--kubeconfig', '/nowhere');
    await eventually(() => expect(elsewhere.left).toBe(1));
    await cli.json('clusters', 'update', 'east', '--kubeconfig', '/elsewhere');
    await eventually(() => expect(elsewhere.opened).toBe(2));
  });

  test('it is removed once nothing is left there, and its loop ends', async () => {
    const busy = await cli.run(['clusters', 'remove', 'east']);
    expect(busy).toMatchObject({ code: EXIT.REFUSED, stdout: '' });
    expect(busy.stderr).toBe(
      'PRECONDITION_FAILED: 1 workload is still there or wished there. Cordon it, and deploy or delete what is placed there.\n',
    );
    const pool = await cli.run(['clusters', 'update', 'east', '--remove-pool', 'default']);
    expect(pool.stderr).toMatch(
      /^PRECONDITION_FAILED \(input.removePools\): 1 workload is still on pool default .* or delete it\.\n$/,
    );
    await cli.run(['delete', 'acme/demo/digits']);
    await eventually(async () => expect(await cli.json('get')).toEqual([]));
    await cli.json('clusters', 'remove', 'east');
    await eventually(() => expect(elsewhere.left).toBe(elsewhere.opened));
    expect(await cli.json('clusters')).not.toContainEqual(expect.objectContaining({ name: 'east' }));
    expect((await cli.run(['clusters', 'show', 'east'])).code).toBe(EXIT.NOT_FOUND);
    expect(elsewhere.cluster.known()).toEqual([]);
  });
});

describe('Several clusters: what is wrong is named, with what to do', () => {
  const register = (...more: string[]) => ['clusters', 'register', 'west', '--kubeconfig', '/east', ...more];
  const scale = ['clusters', 'scale-pool', 'north', 'spots', '--provider', 'command'];
  const update = (...more: string[]) => ['clusters', 'update', 'north', ...more];

  beforeAll(() => cli.json('clusters', 'register', 'north', '--kubeconfig', '/east', '--pool', 'default', 'spots:spot'));

  const rows: readonly (readonly [string, readonly string[], ExitCode, RegExp])[] = [
    ['no way in', ['clusters', 'register', 'west'], EXIT.USAGE, /--kubeconfig FILE or --in-cluster/],
    ['a capacity that is none', register('--pool', 'a:cheap'), EXIT.USAGE, /"cheap" must be on_demand, spot or reserved/],
    ['a label that is none', register('--pool', 'a:spot:gpu'), EXIT.USAGE, /"gpu" must be a label of nodes, KEY=VALUE/],
    ['a name that is taken', ['clusters', 'register', 'north', '--in-cluster'], EXIT.REFUSED, /^ALREADY_EXISTS \(input.name\)/],
    ['a name that is none', ['clusters', 'register', 'No', '--in-cluster'], EXIT.REFUSED, /^INVALID_INPUT \(input.name\)/],
    [
      'an image that may change',
      register('--model-server-image', 'x:1'),
      EXIT.REFUSED,
      /\(input.modelServerImage\): .*name@sha256/,
    ],
    ['an address that is no block', register('--router-cidr', 'here'), EXIT.REFUSED, /\(input.routerCidrs\): .*10.0.0.0\/16/],
    ['a prefix too long', register('--prefix', 'p'.repeat(21)), EXIT.REFUSED, /\(input.namespacePrefix\): .*at most 20/],
    ['two pools of one name', register('--pool', 'a', 'a'), EXIT.REFUSED, /\(input.pools\): Each pool needs a name of its own/],
    ['a change of nothing', update(), EXIT.USAGE, /Say what shall change/],
    ['a change of nobody', ['clusters', 'update', 'nobody', '--in-cluster'], EXIT.NOT_FOUND, /No such cluster/],
    ['a changed image that may change', update('--model-server-image', 'x:1'), EXIT.REFUSED, /\(input.modelServerImage\)/],
    ['another capacity', update('--pool', 'spots'), EXIT.REFUSED, /Pool spots is spot: that cannot change\. Add another pool/],
    ['a pool that stays and goes', update('--pool', 'a', '--remove-pool', 'a'), EXIT.REFUSED, /\(input.removePools\)/],
    ['a pool that is not there', update('--remove-pool', 'gpu'), EXIT.NOT_FOUND, /The cluster has no pool gpu/],
    ['a pool below zero', [...scale, '--max', '-1'], EXIT.USAGE, /--max "-1" must be a whole number/],
    ['a setting that is none', [...scale, '--max', '1', '--setting', 'x'], EXIT.USAGE, /"x" must be a setting of the provider/],
    ['limits crossed', [...scale, '--max', '1', '--min', '2'], EXIT.REFUSED, /\(input.minNodes\): minNodes must be between/],
    ['a provider that is not there', [...scale, '--max', '1', '--provider', 'x'], EXIT.REFUSED, /There are: command/],
    [
      'a pool to scale that is not there',
      ['clusters', 'scale-pool', 'north', 'x', ...scale.slice(4), '--max', '1'],
      EXIT.NOT_FOUND,
      /No such pool/,
    ],
    [
      'the local cluster changed',
      ['clusters', 'update', 'acme', '--in-cluster'],
      EXIT.REFUSED,
      /local cluster is as its machine is/,
    ],
    ['the local cluster removed', ['clusters', 'remove', 'acme'], EXIT.REFUSED, /PURSER_LOCAL_CLUSTER=0/],
    ['a rebuild of what cannot be seen', ['clusters', 'rebuild', 'acme', '--plan'], EXIT.REFUSED, /acme cannot be seen/],
  ];
  test.each(rows)('%s', async (_what, args, code, words) => {
    const ran = await cli.run(args);
    expect(ran.stderr).toMatch(words);
    expect(ran).toMatchObject({ code, stdout: '' });
  });

  test('by GraphQL alone: one is found by its name or its id; nothing by no name, and by anybody else nothing', async () => {
    const { id } = await show('north');
    const ask = async (by: string, token: string | null = api.adminToken) =>
      (await api.gql<{ cluster: object | null }>(`{ cluster(by: { ${by} }) { id name } }`, { token })).data?.cluster;
    expect(await ask(`path: "north"`)).toEqual({ id, name: 'north' });
    expect(await ask(`id: "${id}"`)).toEqual({ id, name: 'north' });
    expect([await ask(`path: "nobody"`), await ask(`path: ""`), await ask(`id: "nonsense"`)]).toEqual([null, null, null]);
    expect(await ask(`path: "north"`, (await api.tokenFor('team_admin', 'crew')).token)).toBeNull();
  });

  test('by GraphQL alone: an access without a way in', async () => {
    const access = `access: { inCluster: false }`;
    const wanted = { cluster: null, userErrors: [{ code: 'INVALID_INPUT', path: ['input', 'access'] }] };
    expect(await mutate(`registerCluster(input: { name: "west", ${access} })`, 'cluster { id }')).toMatchObject(wanted);
    const { id } = await show('north');
    expect(await mutate(`updateCluster(input: { cluster: "${id}", ${access} })`, 'cluster { id }')).toMatchObject(wanted);
  });

  test('a repeat with the same key gives the same cluster, and changes it once', async () => {
    const { id, version } = await show('north');
    const again = `updateCluster(input: { cluster: "${id}", pools: [{ name: "more" }] }, idempotencyKey: "once")`;
    const first = await mutate(again, 'cluster { id version }');
    expect(first).toMatchObject({ cluster: { id, version: version + 1 }, userErrors: [] });
    expect(await mutate(again, 'cluster { id version }')).toEqual(first);
  });

  test('a viewer of the platform sees clusters with what their nodes cost, which is all that an extender needs, and changes none', async () => {
    const principal = await cli.json<{ id: string }>('principals', 'create', 'extender', '--role', 'viewer', '--on', 'platform');
    const { secret } = await cli.json<{ secret: string }>('tokens', 'create', 'extender', '--principal', principal.id);
    const { id } = await show('north');
    const { data } = await api.gql(
      `{ cluster(by: { path: "north" }) { id nodes(first: 10) { nodes { name pricePerHour { amount } } } } }`,
      { token: secret },
    );
    expect(data).toEqual({ cluster: { id, nodes: { nodes: [] } } });
    const change = `mutation { updateCluster(input: { cluster: "${id}", routerNamespace: "x" }) { userErrors { code } } }`;
    expect((await api.gql(change, { token: secret })).data).toEqual({
      updateCluster: { userErrors: [{ code: 'NOT_FOUND' }] },
    });
  });

  test('administrators of a team see no cluster and change none', async () => {
    const { token } = await api.tokenFor('team_admin', 'crew');
    const crew = openCli({ PURSER_URL: api.url, PURSER_TOKEN: token });
    const { id } = await show('north');
    expect(await crew.json('clusters')).toEqual([]);
    const { data } = await api.gql(
      `mutation { updateCluster(input: { cluster: "${id}", routerNamespace: "x" }) { cluster { id } userErrors { code path } } }`,
      { token },
    );
    const refused = { cluster: null, userErrors: [{ code: 'NOT_FOUND', path: ['input', 'cluster'] }] };
    expect(data).toEqual({ updateCluster: refused });
    crew.close();
  });
});

describe('Nodes scale: a pool that is taken out is seen until the last machine is given back', () => {
  test('by whom its machines are rented, how many are left, what keeps them; until then its cluster stays and its name is taken', async () => {
    await cli.json('clusters', 'register', 'south', '--kubeconfig', '/east', '--pool', 'default', 'rented:spot');
    const flags = ['--provider', 'command', '--max', '5', '--setting', 'instanceType=m5.large'];
    const scaled = await cli.json('clusters', 'scale-pool', 'south', 'rented', ...flags);
    expect(scaled).toMatchObject({ name: 'rented', scaling: { provider: 'command', minNodes: 0, maxNodes: 5, version: 1 } });
    const kept = [
      { type: 'Growing', status: 'False', reason: 'PODS_OF_OTHERS', message: 'Others run there.', lastTransitionTime: 1 },
    ];
    await api.db.database.write({ kind: 'reconciler', loop: 'test' }, (tx) =>
      sqlOf(tx).execute(`update pool_scaling set desired_nodes = 3, conditions = $1`, [JSON.stringify(kept)]),
    );
    const there = await cli.run(['clusters', 'show', 'south']);
    expect(there.stdout).toMatch(/\nrented +SPOT +any +0 to 5 by command, 3 asked for\n/);
    expect(there.stdout).toContain('\nPool rented does not grow: Others run there.\n');
    await cli.json('clusters', 'update', 'south', '--remove-pool', 'rented');
    const { stdout } = await cli.run(['clusters', 'show', 'south']);
    expect(stdout).toMatch(/\nPool rented was taken out: 3 nodes left\. Others run there\.\n/);
    expect((await show('south')).pools.map(({ name }) => name)).toEqual(['default']);
    const again = await cli.run(['clusters', 'update', 'south', '--pool', 'rented:spot']);
    expect(again.stderr).toMatch(
      /^PRECONDITION_FAILED \(input.pools\): .* still being given back\. Wait, or choose another name\.\n$/,
    );
    const remove = await cli.run(['clusters', 'remove', 'south']);
    expect(remove.stderr).toMatch(/^PRECONDITION_FAILED: Machines are rented for rented\. Take these pools out first/);
  });
});
