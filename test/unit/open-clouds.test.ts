// Writes files as an operator would and opens what they name; nobody is asked anything.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import { ConfigError } from '../../src/main/config.ts';
import { openClouds, type Clouds } from '../../src/main/open-clouds.ts';
import { seededRandom } from '../support/actors.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const folder = mkdtempSync(join(tmpdir(), 'purser-clouds-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function opened(content: unknown, nodeCommand: string | null = null): Clouds {
  const cloudsFile = join(folder, 'clouds.json');
  writeFileSync(cloudsFile, typeof content === 'string' ? content : JSON.stringify(content));
  const clock = { now: () => 1_800_000_000_000 };
  return openClouds({
    config: { cloudsFile, nodeCommand, dataDir: folder },
    clock,
    random: seededRandom(1),
    logger: quietLogger,
  });
}

describe('Clouds by configuration: the file', () => {
  test('nothing is configured unless somebody does', () => {
    const clock = { now: () => 0 };
    const none = openClouds({
      config: { cloudsFile: null, nodeCommand: null, dataDir: folder },
      clock,
      random: seededRandom(1),
      logger: quietLogger,
    });
    expect(none).toEqual({ clouds: [], providers: new Map(), feeds: new Map() });
  });

  test("a program of the operator's own is told nothing of the database", async () => {
    vi.stubEnv('PURSER_DATABASE_URL', 'postgres://somebody:secret@localhost/purser');
    const shown = 'echo "$PURSER_DATABASE_URL;${PATH:+path}" >&2; exit 1';
    const { providers } = opened({ rack: { kind: 'command', command: ['/bin/sh', '-c', shown] } });
    vi.unstubAllEnvs();
    await expect(providers.get('rack')?.observeNodes('a/b/c')).rejects.toThrow(/status 1\. ;path$/);
  });

  test('a provider has the name that pools give; the command of the environment stays what it was', () => {
    const { clouds, providers } = opened({ rack: { kind: 'command', command: ['/opt/rent', '--rack'] } }, '/opt/other');
    expect([...providers.keys()]).toEqual(['rack', 'command']);
    expect(clouds.map(({ name, kind, prices }) => [name, kind, prices])).toEqual([
      ['rack', 'command', null],
      ['command', 'command', null],
    ]);
  });

  test.each([
    ['{', 'no JSON'],
    [[], 'PURSER_CLOUDS_FILE'],
    [[], 'the file: must be an object in braces'],
    [{ rack: {} }, 'rack.kind: is missing: it must be a text in quotes'],
    [{ cloud: { kind: 'aws' } }, 'cloud.regions: is missing: it must be a list in brackets'],
    [
      { cloud: { kind: 'gcp', project: 'x' } },
      'cloud: there is no setting "project"; the settings are projectId, regions, clusters',
    ],
    [{ cloud: { kind: 'aws', regions: 'us-east-1' } }, 'cloud.regions: must be a list in brackets'],
    [{ cloud: { kind: 'aws', regions: [] } }, 'cloud.regions: must not be empty'],
    [{ cloud: { kind: 'aws', regions: ['aws/us-east-1'] } }, 'must be a region as AWS names it, like us-east-1'],
    [{ cloud: { kind: 'azure', subscriptionId: 'mine' } }, 'cloud.subscriptionId: must be a UUID like 0'],
    [{ play: { kind: 'simulated', seed: '7' } }, 'play.seed: must be a number, without quotes'],
    [{ play: { kind: 'simulated', swing: 3 } }, 'play.swing: must be at most 0.8'],
    [{ feeds: [{ kind: 'skypilot-csv', provider: 'x', url: 'vms.csv', regions: ['a/b'] }] }, 'feeds.0.url: must be a URL like'],
    [{ karpenter: { kind: 'simulated' } }, 'karpenter: pools say so of machines that Karpenter rents'],
    [{ rack: { kind: 'abacus' } }, 'rack.kind: there is no "abacus": one of aws, azure, gcp, command, machines, simulated'],
    [{ 'my rack': { kind: 'command', command: ['x'] } }, 'my rack: a name must be 1 to 63 of'],
    [{ rack: { kind: 'command' } }, 'rack.command'],
    [{ rack: { kind: 'command', command: ['x'], sceret: 1 } }, 'sceret'],
    [{ rack: { kind: 'command', command: ['x'], prices: { regions: ['a/b'] } } }, 'rack.prices: command says no prices'],
    [{ rack: { kind: 'command', command: ['x'], prices: { regions: ['a'] } } }, 'must be provider/region'],
    [{ feeds: [{ kind: 'oracle', regions: ['a/b'] }] }, 'feeds.0.kind'],
  ])('%j is refused in a sentence that names what is wrong', (content, words) => {
    expect(() => opened(content)).toThrow(ConfigError);
    expect(() => opened(content)).toThrow(words);
  });

  test("machines of one's own are written in the file, in another one beside it, or in a table", async () => {
    const rows = [
      { name: 'n1', type: 'big', cpu: 4, memoryGib: 16, gpu: 'T4', gpuMemoryGib: 16, pricePerHour: '0.35' },
      { name: 'n2', node: 'node-two', type: 'small', zone: 'cellar', cpu: 2.5, memoryGib: 4 },
    ];
    writeFileSync(join(folder, 'rack.json'), JSON.stringify(rows));
    const table = '"name",node,type,zone,cpu,memoryGib,gpu,gpuMemoryGib,pricePerHour\nn1,,big,,4,16,T4,16,0.35\n';
    writeFileSync(join(folder, 'rack.csv'), `${table}n2,node-two,small,cellar,2.5,4,,,\n`);
    for (const machines of [rows, 'rack.json', 'rack.csv']) {
      const { feeds } = opened({ rack: { kind: 'machines', machines, prices: { regions: ['rack/here'] } } });
      const feed = feeds.get('rack')?.feed;
      expect((await feed?.listOfferings(['rack/here']))?.offerings).toMatchObject([
        {
          zone: 'here',
          instanceType: 'big',
          cpuMilli: 4_000,
          memoryMib: 16_384,
          accelerator: { model: 'T4', countMilli: 1_000 },
        },
        { zone: 'cellar', instanceType: 'small', cpuMilli: 2_500, memoryMib: 4_096, accelerator: null },
      ]);
      expect((await feed?.observePrices(['rack/here']))?.prices).toMatchObject([{ amount: '0.35', unit: 'hour' }]);
    }
  });

  test('what is taken of them is kept in the data folder, or where the file says', async () => {
    const machines = [{ name: 'n1', type: 'big', cpu: 4, memoryGib: 16 }];
    const { providers } = opened({
      rack: { kind: 'machines', machines },
      cellar: { kind: 'machines', machines, state: 'cellar' },
      play: { kind: 'simulated' },
      toy: { kind: 'simulated', state: 'toys' },
    });
    const pool = {
      key: 'k',
      region: null,
      zone: null,
      instanceType: 'big',
      capacityType: 'on_demand' as const,
      labels: {},
      config: {},
    };
    for (const provider of providers.values()) await provider.ensurePool(pool, { epoch: 1 });
    expect(readdirSync(join(folder, 'clouds', 'rack'))).toEqual(readdirSync(join(folder, 'cellar')));
    expect(readdirSync(join(folder, 'clouds', 'play'))).toEqual(readdirSync(join(folder, 'toys')));
    expect(readdirSync(join(folder, 'clouds')).sort()).toEqual(['play', 'rack']);
  });

  test.each([
    [[], 'rack.machines'],
    [[{ name: 'n1', type: 'big', cpu: -4, memoryGib: 16 }], 'rack.machines.0.cpu'],
    [[{ name: 'n1', type: 'big', cpu: 4, memoryGib: 16, pricePerHour: '1e3' }], 'rack.machines.0.pricePerHour'],
    [['a', 'a'].map((name) => ({ name, type: 'big', cpu: 4, memoryGib: 16 })), 'rack.machines: two machines are called a'],
    [['a', 'b'].map((name, i) => ({ name, type: 'big', cpu: 4 + i, memoryGib: 16 })), 'machines of type big in here differ'],
    ['nowhere.csv', 'nowhere.csv, which cannot be read'],
    ['short.csv', 'short.csv: it is no table'],
    ['open.csv', 'open.csv: it is no table'],
  ])('machines that are %j are refused', (machines, words) => {
    writeFileSync(join(folder, 'open.csv'), 'name,type\nn1,"big\n');
    writeFileSync(join(folder, 'short.csv'), 'name,type,cpu,memoryGib\nn1,big,4\n');
    expect(() => opened({ rack: { kind: 'machines', machines } })).toThrow(words);
  });

  test('clouds with accounts are opened without asking anybody, and without a secret', () => {
    const prices = { regions: ['aws/us-east-1'], everyMinutes: 30 };
    const { providers, feeds } = opened({
      amazon: { kind: 'aws', regions: ['us-east-1'], prices },
      google: { kind: 'gcp', projectId: 'example-project' },
      microsoft: { kind: 'azure', subscriptionId: '00000000-0000-4000-8000-000000000000' },
      feeds: [{ kind: 'azure-retail', regions: ['azure/eastus'] }],
    });
    expect([...providers.keys()]).toEqual(['amazon', 'google', 'microsoft']);
    expect([...feeds].map(([name, { intervalMs }]) => [name, intervalMs])).toEqual([
      ['amazon', 1_800_000],
      ['azure-retail', 3_600_000],
    ]);
    expect(() => opened({ amazon: { kind: 'aws', regions: ['us-east-1'], secretKey: 'x' } })).toThrow('secretKey');
  });

  test('bills in files beside it are read from there', async () => {
    const bill = { from: 'focus', file: 'not-there.csv' };
    const { clouds } = opened({ amazon: { kind: 'aws', regions: ['us-east-1'], bill } });
    await expect(clouds[0]?.bill?.fetchBill(0, 1)).rejects.toThrow(join(folder, 'not-there.csv'));
  });

  test('two of one name are refused', () => {
    expect(() => opened({ command: { kind: 'command', command: ['x'] } }, '/opt/rent')).toThrow('two called command');
  });
});
