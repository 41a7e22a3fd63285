// The built command on a folder of traces: its JSON, its table, and what it says to a wrong call.
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { builtEntry, builtNode, ensureBuilt } from '../support/build.ts';

const folder = mkdtempSync(join(tmpdir(), 'purser-traces-'));

beforeAll(async () => {
  await ensureBuilt();
  const index = 'file,cloud,zone,instance_type,nodes_requested,kind,start_date,gap_seconds\n';
  writeFileSync(join(folder, 'index.csv'), `${index}a.csv,aws,us-east-1a,p3.2xlarge,1,availability,2023-02-15,300\n`);
  const samples = [1, 1, 0, 1].map((available, tick) => `${tick * 300},${available}`);
  writeFileSync(join(folder, 'a.csv'), `tick_seconds,available\n${samples.join('\n')}\n`);
});
afterAll(() => rmSync(folder, { recursive: true }));

const simulate = (...args: string[]) => purserSimulate('spot', ...args);

const purserSimulate = async (...args: string[]) =>
  promisify(execFile)(builtNode, [builtEntry, 'simulate', ...args]).then(
    ({ stdout }) => ({ code: 0, stdout, stderr: '' }),
    (error: unknown) => error as { code: number; stdout: string; stderr: string },
  );

describe('purser simulate spot', () => {
  test('prints a row for each policy and setting, the clairvoyant among them', async () => {
    const { stdout } = await simulate('--traces', folder, '--replicas', '1', '--launch-delay', '180s', '--json');
    const { rows } = JSON.parse(stdout) as { rows: { group: string; policy: string; setting: string; costToOnDemand: number }[] };
    expect(new Set(rows.map(({ policy }) => policy))).toEqual(
      new Set(['purser', 'spothedge', 'single zone', 'fixed standby', 'on-demand', 'clairvoyant']),
    );
    expect(rows[0]).toMatchObject({
      group: 'aws p3.2xlarge 1node availability 2023-02-15',
      policy: 'purser',
      setting: 'thrifty',
    });
    // Three samples on spot at 1, one on demand at 3, of four on demand at 3.
    expect(rows.at(-1)?.costToOnDemand).toBeCloseTo(6 / 12, 12);
  });

  test('prints a table for people', async () => {
    const { stdout } = await simulate('--traces', folder, '--replicas', '1');
    expect(stdout).toMatch(
      /^aws p3\.2xlarge 1node availability 2023-02-15: 1 pool, 0\.0 days, a tick is 300 s\nPOLICY +SETTING +TO ON-DEMAND/,
    );
    expect(stdout).toMatch(/^spothedge +1 extra +\d\.\d{3}/m);
  });

  test('--help is its own', async () => {
    const { code, stdout } = await purserSimulate('--help');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^Usage: purser simulate /);
  });

  test('--market makes up markets from a seed, --chart draws what was found', async () => {
    const chart = join(folder, 'chart.svg');
    const { stdout } = await simulate('--market', '3', '--replicas', '1', '--chart', chart, '--json');
    const { rows } = JSON.parse(stdout) as { rows: { group: string }[] };
    expect(new Set(rows.map(({ group }) => group))).toEqual(new Set(['made up 3.1', 'made up 3.2', 'made up 3.3']));
    expect(readFileSync(chart, 'utf8')).toContain('made up 3.2');
  });

  test('--prices bills spot at the price of the moment', async () => {
    const head = 'instance_type,zone,start_date,tick_seconds,spot_usd_per_hour';
    const prices = ['0,1', '300,3'].map((change) => `p3.2xlarge,us-east-1a,2023-02-15,${change}`);
    writeFileSync(join(folder, 'prices.csv'), `${[head, ...prices].join('\n')}\n`);
    const { stdout } = await simulate('--traces', folder, '--replicas', '1', '--prices', folder, '--json');
    const { rows } = JSON.parse(stdout) as { rows: { costToOnDemand: number }[] };
    // 0.4 of the mean for a sample, 1.2 for two, and one on demand at 3 of four at 3.
    expect(rows.at(-1)?.costToOnDemand).toBeCloseTo((0.4 + 2 * 1.2 + 3) / 12, 12);
  });

  test.each([
    [['--market', 'x'], 2, /--market <seed>.*whole number/],
    [['--market', '1', '--prices'], 2, /--market <seed>.*cannot be used with option '--prices/],
    [['--prices', '/nowhere'], 2, /--prices: \/nowhere\/prices\.csv is not there/],
    [['--replicas', '0'], 2, /--replicas <count>.*whole number from 1 to 1000/],
    [['--launch-delay', 'soon'], 2, /--launch-delay <duration>.*180s/],
    [['--traces', folder, '--prices'], 2, /--prices: prices\.csv has none of these pools/],
    [['--chart', '/nowhere/spot.svg'], 2, /--chart: \/nowhere\/spot\.svg cannot be written/],
    [['--traces', '/nowhere'], 2, /--traces: \/nowhere\/index\.csv is not there/],
  ])('%j is refused with the option and the mend', async (args, code, message) => {
    const refused = await simulate(...args);
    expect(refused.code).toBe(code);
    expect(refused.stderr).toMatch(message);
  });
});

describe('purser simulate packing', () => {
  const nodes = join(folder, 'nodes.csv');
  const pods = join(folder, 'pods.csv');
  const packing = (...args: string[]) => purserSimulate('packing', '--nodes', nodes, '--pods', pods, ...args);

  beforeAll(() => {
    writeFileSync(nodes, 'sn,cpu_milli,memory_mib,gpu,model\nn,8000,8192,2,T4\n');
    writeFileSync(pods, 'name,cpu_milli,memory_mib,num_gpu,gpu_milli\np,1000,1024,1,500\n');
  });

  test('prints a row for each policy; the same seed prints the same', async () => {
    const { stdout } = await packing('--demand', '2', '--seed', '7', '--json');
    const { rows, ...rest } = JSON.parse(stdout) as { rows: { policy: string; allocatedShare: number; refused: object }[] };
    expect(rest).toEqual({ seed: 7, demand: 2 });
    expect(rows.map(({ policy }) => policy)).toEqual([
      ...['purser', 'purser with moves', 'purser with waiting and moves'],
      ...['fgd as published', 'best fit', 'random'],
    ]);
    expect(rows[0]).toMatchObject({ allocatedShare: 1, movedShare: 0, arrived: 8, placed: 4, refused: { NO_ROOM: 4 } });
  });

  test('prints a table for people', async () => {
    const { stdout } = await packing();
    expect(stdout).toMatch(/^POLICY +ALLOCATED +MOVED +ARRIVED +PLACED +REFUSED +DECISIONS\/S\npurser +100\.00 %/);
  });

  test.each([
    [['--demand', '0'], 2, 'A number above 0, at most 10.'],
    [['--seed', 'x'], 2, 'A whole number from 0 to 2147483647.'],
    [['--nodes', '/none.csv'], 2, '--nodes: /none.csv is no file; name a CSV file, plain or gzipped.'],
  ])('%j is refused', async (args, code, message) => {
    expect(await packing(...args)).toMatchObject({ code, stderr: expect.stringContaining(message) as string });
  });
});
