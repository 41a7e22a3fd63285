// Providers of machines that need nothing but this machine: the suite of the port, and what each of them does beyond it.
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { CloudUnknown, type CloudPool, type MachineProvider } from '../../src/clouds/cloud-provider.port.ts';
import { CommandCloud } from '../../src/clouds/onprem/command-cloud.adapter.ts';
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
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function simulated(market: Partial<SimulatedMarket> = {}, priced?: PricedMarket): Opened & { provider: SimulatedCloud } {
  let now = 1_800_000_000_000;
  const provider = new SimulatedCloud({ clock: { now: () => now }, random: seededRandom(5), market, priced });
  return { provider, pass: () => void (now += 60_000) };
}

/** A shell script as an operator would write it, around a few lines of JavaScript that keep state in a file. */
function command(body = COMMAND, timeoutMs?: number): Opened {
  const folder = mkdtempSync(join(tmpdir(), 'purser-command-'));
  folders.push(folder);
  writeFileSync(join(folder, 'rent.mjs'), body);
  const file = join(folder, 'rent');
  writeFileSync(
    file,
    `#!/bin/sh\nexec '${process.execPath}' '${join(folder, 'rent.mjs')}' '${join(folder, 'state.json')}' "$@"\n`,
  );
  chmodSync(file, 0o755);
  const provider = new CommandCloud({ name: 'command', command: [file], ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  return { provider, pass: () => undefined };
}

const COMMAND = `
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
const [file, verb] = process.argv.slice(2);
const input = JSON.parse(readFileSync(0, 'utf8'));
const state = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { made: 0, epoch: 0, pools: {} };
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
const stale = input.epoch < state.epoch;
state.epoch = Math.max(state.epoch, input.epoch ?? 0);
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

  test('one that is not there leaves the effect unknown', async () => {
    const provider = new CommandCloud({ name: 'command', command: ['/nowhere/rent'] });
    await expect(provider.interruptions()).rejects.toThrow(CloudUnknown);
  });
});
