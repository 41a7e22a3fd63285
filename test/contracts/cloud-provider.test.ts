// Providers of machines that need nothing but this machine: the suite of the port, and what each of them does beyond it.
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { CloudUnknown, type CloudPool, type MachineProvider } from '../../src/clouds/cloud-provider.port.ts';
import { FileState } from '../../src/clouds/file-state.adapter.ts';
import { CommandCloud } from '../../src/clouds/onprem/command-cloud.adapter.ts';
import type { MachineList } from '../../src/clouds/onprem/machine-list.ts';
import { MachinesCloud } from '../../src/clouds/onprem/machines-cloud.adapter.ts';
import { CommandSettings } from '../../src/clouds/onprem/run-command.adapter.ts';
import { SimulatedCloud, type SimulatedMarket } from '../../src/clouds/simulated/simulated-cloud.adapter.ts';
import type { PricedMarket } from '../../src/clouds/simulated/simulated-market.ts';
import { seededRandom } from '../support/actors.ts';
import { billSuite } from '../support/bill-suite.ts';
import { machineProviderSuite } from '../support/cloud-provider-suite.ts';
import { priceFeedSuite } from '../support/price-feed-suite.ts';
import { eventually } from '../support/eventually.ts';

const FENCE = { epoch: 7 };
const pool: CloudPool = {
  ...{ key: 'here/east/burst', region: 'us-east-1', zone: null, instanceType: 'm5.large', capacityType: 'spot' },
  ...{ labels: { tier: 'burst' }, config: {} },
};

/** A provider, and how its time passes until what was wished for is there. */
interface Opened {
  readonly provider: MachineProvider;
  readonly pass: () => void;
}

const folders: string[] = [];
afterEach(() => {
  for (const made of folders.splice(0)) rmSync(made, { recursive: true, force: true });
});

function simulated(market: Partial<SimulatedMarket> = {}, priced?: PricedMarket): Opened & { provider: SimulatedCloud } {
  let now = 1_800_000_000_000;
  const provider = new SimulatedCloud({ clock: { now: () => now }, random: seededRandom(5), market, priced });
  return { provider, pass: () => void (now += 60_000) };
}

function folder(): string {
  const made = mkdtempSync(join(tmpdir(), 'purser-clouds-'));
  folders.push(made);
  return made;
}

/** A shell script as an operator would write it, around a few lines of JavaScript that keep state in a file. */
function command(body = COMMAND, timeoutMs?: number): Opened {
  const place = folder();
  writeFileSync(join(place, 'rent.mjs'), body);
  const file = join(place, 'rent');
  writeFileSync(file, `#!/bin/sh\nexec '${process.execPath}' '${join(place, 'rent.mjs')}' '${join(place, 'state.json')}' "$@"\n`);
  chmodSync(file, 0o755);
  const provider = new CommandCloud('command', { ...CommandSettings.parse({ command: [file], timeoutMs }), env: process.env });
  return { provider, pass: () => undefined };
}

const COMMAND = `
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
const [file, verb] = process.argv.slice(2);
const input = JSON.parse(readFileSync(0, 'utf8'));
const state = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { made: 0, epochs: {}, pools: {} };
const refuse = (reason) => ({ outcome: 'refused', reason, message: 'no', retryAfterMs: null });
const there = (node) => node.phase === 'running';
const verbs = {
  ensurePool: () => ((state.pools[input.pool.key] = { desired: 0, nodes: [], ...state.pools[input.pool.key] }), { outcome: 'accepted' }),
  deletePool: () => (delete state.pools[input.key], { outcome: 'accepted' }),
  observeNodes: () => state.pools[input.key] ?? null,
  interruptions: () => [],
  scalePool: () => {
    const pool = state.pools[input.key];
    if (!pool) return refuse('NO_SUCH_POOL');
    const released = pool.nodes.filter((node) => there(node) && input.release.includes(node.instanceId));
    if (input.desired < pool.nodes.filter(there).length - released.length) return refuse('NAME_MACHINES');
    for (const node of released) node.phase = 'gone';
    while (pool.nodes.filter(there).length < input.desired)
      pool.nodes.push({ instanceId: 'm' + ++state.made, nodeName: null, phase: 'running', since: Date.now() });
    pool.desired = input.desired;
    return { outcome: 'accepted' };
  },
};
const cluster = (input.key ?? input.pool?.key ?? '').split('/').slice(0, 2).join('/');
const seen = state.epochs[cluster] ?? 0;
const stale = input.epoch < seen;
state.epochs[cluster] = Math.max(seen, input.epoch ?? 0);
const answer = stale ? { outcome: 'stale_epoch' } : verbs[verb]();
writeFileSync(file, JSON.stringify(state));
process.stdout.write(JSON.stringify(answer));
`;

machineProviderSuite('the simulated cloud', ['stock', 'quota', 'lose', 'trouble', 'interrupt', 'epochs'], () => {
  const { provider, pass } = simulated();
  return {
    ...{ provider, pool, pass },
    stock: (machines) => provider.change({ stock: { 'm5.large': machines } }),
    quota: (machines) => provider.change({ quota: machines }),
    lose: (what) => provider.loseNext(what),
    trouble: (how) => provider.change({ trouble: how }),
    interrupt: (instanceId) => provider.interrupt(instanceId, 30_000),
  };
});
const sold: PricedMarket = {
  ...{ seed: 11, swing: 0.5, priceStepMs: 600_000, noticeMs: 120_000 },
  spotShortages: { everyMs: 3_600_000, lastMs: 0 },
  onDemandShortages: { everyMs: 3_600_000, lastMs: 0 },
  offerings: ['us-east-1', 'eu-west-1'].map((region) => ({
    ...{ region, zones: ['a', 'b'], instanceType: 'm5.large', architecture: 'amd64', cpuMilli: 2_000, memoryMib: 8_192 },
    ...{ accelerator: null, onDemand: 96_000_000_000n, spot: 30_000_000_000n },
  })),
};
priceFeedSuite('the simulated cloud', ['lists', 'trouble'], () => {
  const { provider } = simulated({}, sold);
  return {
    feed: provider,
    regions: ['simulated/us-east-1', 'simulated/eu-west-1'],
    trouble: (how) => provider.change({ trouble: how }),
  };
});
billSuite('the simulated cloud', ['trouble'], async () => {
  const { provider, pass } = simulated({}, sold);
  const onDemand: CloudPool = { ...pool, capacityType: 'on_demand' };
  await provider.ensurePool(onDemand, FENCE);
  await provider.scalePool(pool.key, { desired: 2, release: [] }, FENCE);
  for (let minute = 0; minute < 90; minute += 1) pass();
  const from = 1_800_000_000_000;
  return {
    ...{ source: provider, from, cut: from + 3_600_000, to: from + 7_200_000 },
    total: 2n * 96_000_000_000n + 96_000_000_000n,
    trouble: (how) => provider.change({ trouble: how }),
  };
});
machineProviderSuite('a command', ['epochs'], () => ({ ...command(), pool }));

const list: MachineList = {
  ...{ cloud: 'rack', region: 'here', capacityType: 'on_demand' },
  machines: ['n1', 'n2', 'n3', 'n4'].map((name, i) => ({
    ...{ name, nodeName: `node-${name}`, instanceType: 'big', zone: i < 2 ? 'a' : 'b', architecture: 'amd64' },
    ...{ cpuMilli: 4_000, memoryMib: 16_384, accelerator: null, pricePerHour: '0.35' },
  })),
};
const own: CloudPool = { ...pool, region: 'here', instanceType: 'big', capacityType: 'on_demand' };

function machines(
  power: string | null = null,
  state = folder(),
  listed = list,
): { provider: MachinesCloud; pass: () => Promise<void> } {
  let now = 1_800_000_000_000;
  const provider = new MachinesCloud({
    ...{ name: 'rack', clock: { now: () => now }, list: listed, state: new FileState(state) },
    power: power === null ? null : { ...CommandSettings.parse({ command: ['/bin/sh', '-c', power, 'power'] }), env: process.env },
  });
  const isSettled = async (): Promise<boolean> =>
    ((await provider.observeNodes(own.key))?.nodes ?? []).every(({ phase }) => phase === 'running' || phase === 'gone');
  const pass = async (): Promise<void> => {
    now += 60_000;
    await eventually(isSettled);
  };
  return { provider, pass };
}
machineProviderSuite("machines of one's own", ['epochs'], () => ({ ...machines(), pool: own }));
machineProviderSuite("machines of one's own that are woken", ['epochs'], () => ({ ...machines('cat > /dev/null'), pool: own }));

describe('Nodes scale: the simulated market', () => {
  const scaled = async (market: Partial<SimulatedMarket>, desired: number) => {
    const one = simulated(market);
    await one.provider.ensurePool(pool, FENCE);
    return { ...one, result: await one.provider.scalePool(pool.key, { desired, release: [] }, FENCE) };
  };

  test('a machine takes a while to start, and to stop', async () => {
    const { provider, pass } = await scaled({ stopMs: 30_000 }, 1);
    expect((await provider.observeNodes(pool.key))?.nodes).toMatchObject([{ phase: 'starting' }]);
    pass();
    const [machine] = (await provider.observeNodes(pool.key))?.nodes ?? [];
    expect(machine).toMatchObject({ phase: 'running' });
    await provider.scalePool(pool.key, { desired: 0, release: [machine?.instanceId ?? ''] }, FENCE);
    expect((await provider.observeNodes(pool.key))?.nodes).toMatchObject([{ phase: 'stopping' }]);
  });

  test.each([
    [{ quota: 2 }, 'QUOTA'],
    [{ stock: { 'm5.large': 2 } }, 'STOCK_OUT'],
  ])('%j refuses a third machine and keeps what there is', async (market, reason) => {
    const one = await scaled(market, 2);
    expect(one.result).toEqual({ outcome: 'accepted' });
    const more = await one.provider.scalePool(pool.key, { desired: 3, release: [] }, FENCE);
    expect(more).toMatchObject({ outcome: 'refused', reason, retryAfterMs: expect.any(Number) as number });
    expect((await one.provider.observeNodes(pool.key))?.desired).toBe(2);
  });

  test('an interruption is told until the machine is gone, which nobody wishes for any more', async () => {
    const { provider, pass } = await scaled({}, 2);
    const [first] = (await provider.observeNodes(pool.key))?.nodes ?? [];
    provider.interrupt(first?.instanceId ?? '', 60_000);
    for (let n = 0; n < 2; n += 1) expect(await provider.interruptions()).toMatchObject([{ instanceId: first?.instanceId }]);
    pass();
    expect(await provider.interruptions()).toEqual([]);
    expect(await provider.observeNodes(pool.key)).toMatchObject({ desired: 1 });
  });

  test('however many calls are lost, saying the wish again until it is answered makes it true exactly once', async () => {
    const { provider, pass } = simulated({ lost: 0.6 });
    const insist = <T>(call: () => Promise<T>): Promise<T> => eventually(call as () => Promise<Exclude<T, false>>);
    await insist(() => provider.ensurePool(pool, FENCE));
    await insist(() => provider.scalePool(pool.key, { desired: 4, release: [] }, FENCE));
    pass();
    const state = await insist(() => provider.observeNodes(pool.key));
    expect(state?.nodes).toHaveLength(4);
    const release = [state?.nodes[0]?.instanceId ?? ''];
    await insist(() => provider.scalePool(pool.key, { desired: 3, release }, FENCE));
    expect((await insist(() => provider.observeNodes(pool.key)))?.nodes.filter(({ phase }) => phase === 'running')).toHaveLength(
      3,
    );
    await expect(Promise.all(Array.from({ length: 20 }, () => provider.interruptions()))).rejects.toThrow(CloudUnknown);
  });
});

describe('Nodes scale: a command that misbehaves', () => {
  test.each([
    ['exits with an error', 'process.stderr.write("the cloud is down"); process.exit(3);', /the cloud is down/],
    ['answers no JSON', 'process.stdout.write("<html>");', /something else/],
    ['answers another shape', 'process.stdout.write(\'{"outcome":"done"}\');', /something else/],
    ['says nothing', '', /something else/],
  ])('one that %s leaves the effect unknown', async (_, body, words) => {
    const { provider } = command(body);
    const call = provider.ensurePool(pool, FENCE);
    await expect(call).rejects.toThrow(CloudUnknown);
    await expect(call).rejects.toThrow(words);
  });

  test('one that hangs is ended', async () => {
    const { provider } = command('setInterval(() => undefined, 1_000);', 300);
    await expect(provider.observeNodes(pool.key)).rejects.toThrow(/SIGKILL/);
  });

  test('one that ends and leaves a child behind, which holds its output open, is not waited for longer', async () => {
    const place = folder();
    const file = join(place, 'rent');
    writeFileSync(file, `#!/bin/sh\nsleep 20 &\necho $! > '${join(place, 'pid')}'\necho '[]'\n`);
    chmodSync(file, 0o755);
    const provider = new CommandCloud('command', {
      ...CommandSettings.parse({ command: [file], timeoutMs: 300 }),
      env: process.env,
    });
    await expect(provider.interruptions()).rejects.toThrow(/no whole answer within 300 ms/);
    process.kill(Number(readFileSync(join(place, 'pid'), 'utf8')));
  });

  test('one that is not there leaves the effect unknown', async () => {
    const provider = new CommandCloud('command', { ...CommandSettings.parse({ command: ['/nowhere/rent'] }), env: process.env });
    await expect(provider.interruptions()).rejects.toThrow(CloudUnknown);
  });
});

describe("Cloud port: machines of one's own, beyond it", () => {
  const renting = async (provider: MachinesCloud, desired: number, release: string[] = []) => {
    await provider.ensurePool(own, FENCE);
    return provider.scalePool(own.key, { desired, release }, FENCE);
  };
  const nodesOf = async (provider: MachinesCloud, phase: string) =>
    ((await provider.observeNodes(own.key))?.nodes ?? []).filter((node) => node.phase === phase);

  test('books that cannot be read leave all unknown', async () => {
    const place = folder();
    writeFileSync(join(place, 'state-000000001.json'), '{"pools":');
    await expect(machines(null, place).provider.observeNodes(own.key)).rejects.toThrow(CloudUnknown);
  });

  test('there are as many as the list has, and a pool of one zone has those of that zone', async () => {
    const { provider } = machines();
    expect(await renting(provider, 5)).toMatchObject({
      reason: 'STOCK_OUT',
      message: '4 such machines are free, and 5 are wished for',
    });
    const cellar = { ...own, key: 'here/east/b', zone: 'b' };
    await provider.ensurePool(cellar, FENCE);
    await provider.scalePool(cellar.key, { desired: 2, release: [] }, FENCE);
    expect(await renting(provider, 3)).toMatchObject({ reason: 'STOCK_OUT' });
    expect(await renting(provider, 2)).toEqual({ outcome: 'accepted' });
    expect((await nodesOf(provider, 'running')).map(({ nodeName }) => nodeName)).toEqual(['node-n1', 'node-n2']);
    expect(await provider.check()).toMatchObject([{ aspect: 'quota', status: 'failed', message: '4 of 4 machines are taken.' }]);
  });

  test.each([
    [{ region: 'there' }, 'not in there'],
    [{ capacityType: 'spot' as const }, 'not spot'],
    [{ instanceType: 'huge' }, 'no machine of type huge'],
  ])('a pool of %j is refused', async (wrong, words) => {
    const answer = await machines().provider.ensurePool({ ...own, ...wrong }, FENCE);
    expect(answer).toMatchObject({ reason: 'INVALID', message: expect.stringContaining(words) as string });
  });

  test('what is taken is known after a restart, and one of two who change it at once is told to look again', async () => {
    const place = folder();
    const [first, second] = [machines(null, place).provider, machines(null, place).provider];
    await renting(first, 2);
    expect(await nodesOf(second, 'running')).toHaveLength(2);
    const both = await Promise.allSettled([renting(first, 3), renting(second, 4)]);
    const lost = both.filter(({ status }) => status === 'rejected');
    for (const one of lost) expect(one).toMatchObject({ reason: expect.any(CloudUnknown) as Error });
    await renting(first, 4);
    expect(await nodesOf(second, 'running')).toHaveLength(4);
    expect(new Set((await nodesOf(second, 'running')).map(({ nodeName }) => nodeName)).size).toBe(4);
  });

  test('a node belongs to the machine that was rented last', async () => {
    const { provider } = machines();
    await renting(provider, 1);
    const [before] = await nodesOf(provider, 'running');
    await renting(provider, 0, [before!.instanceId]);
    await renting(provider, 1);
    const [after] = await nodesOf(provider, 'running');
    expect([after?.nodeName, after?.instanceId]).not.toContain(before?.instanceId);
    expect(after?.nodeName).toBe(before?.nodeName);
    expect(await nodesOf(provider, 'gone')).toMatchObject([{ instanceId: before?.instanceId, nodeName: null }]);
  });

  test('what was given back is told for as long as its node may be there: until the machine is rented again', async () => {
    const { provider, pass } = machines();
    await renting(provider, 1);
    const [before] = await nodesOf(provider, 'running');
    await renting(provider, 0, [before!.instanceId]);
    for (let minute = 0; minute < 90; minute += 1) await pass();
    await renting(provider, 0);
    expect(await nodesOf(provider, 'gone')).toMatchObject([{ instanceId: before?.instanceId, nodeName: 'node-n1' }]);
    await renting(provider, 1);
    expect(await nodesOf(provider, 'gone')).toEqual([]);
  });

  test('a machine that does not wake is starting, says why, and is tried again; one that does not rest is not given to others', async () => {
    const place = folder();
    const mended = join(place, 'mended');
    const { provider } = machines(`test -e ${mended} || { echo "no power for $1" >&2; exit 1; }`, place);
    await renting(provider, 4);
    await eventually(async () => (await provider.check()).filter(({ aspect }) => aspect === 'permissions').length === 4);
    expect((await provider.check())[0]?.message).toContain('no power for wake');
    expect(await nodesOf(provider, 'starting')).toHaveLength(4);
    writeFileSync(mended, '');
    const running = await eventually(async () => {
      const nodes = await nodesOf(provider, 'running');
      return nodes.length === 4 && nodes;
    });
    expect((await provider.check()).filter(({ aspect }) => aspect === 'permissions')).toEqual([]);
    rmSync(mended);
    await renting(provider, 3, [running[0]!.instanceId]);
    expect(await renting(provider, 4)).toMatchObject({ reason: 'STOCK_OUT' });
    writeFileSync(mended, '');
    await eventually(async () => (await nodesOf(provider, 'gone')).length === 1);
    expect(await renting(provider, 4)).toEqual({ outcome: 'accepted' });
  });

  test('of many machines that wait for their power a few are woken at once', async () => {
    const place = folder();
    const many = Array.from({ length: 30 }, (_, n) => ({ ...list.machines[0]!, name: `m${n}`, nodeName: `node-m${n}` }));
    const program = `touch ${place}/at.$$; ls ${place} | grep -c at. >> ${place}/counts; sleep 0.05; rm ${place}/at.$$`;
    const { provider, pass } = machines(program, folder(), { ...list, machines: many });
    await renting(provider, 30);
    await pass();
    expect(await nodesOf(provider, 'running')).toHaveLength(30);
    const counts = readFileSync(join(place, 'counts'), 'utf8').trim().split('\n').map(Number);
    expect(counts).toHaveLength(30);
    expect(Math.max(...counts)).toBeLessThanOrEqual(8);
  });
});
