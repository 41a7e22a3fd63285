// What a person sees of a plan, and which words of a command line are wrong.
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { findingTable } from '../../clients/cli/commands/clouds.ts';
import { candidateLines, placeLines } from '../../clients/cli/plans.ts';
import { decimal, duration, instant, region, since } from '../../clients/cli/values.ts';
import { asWritten, inputOf, withWishOptions } from '../../clients/cli/wish-options.ts';

const usd = (amount: string) => ({ amount });
const machine = (instanceType: string, place: string) => ({
  offering: { provider: 'azure', region: place, instanceType, capacityType: 'SPOT' },
  hourly: usd('0.05786'),
  monthly: usd('42.2378'),
});
const chosen = {
  ...machine('Standard_NC4as_T4_v3', 'eastus2'),
  score: usd('0.05786'),
  priceSource: 'azure@2024-08-09',
  chosen: true,
};
const dearer = {
  ...machine('Standard_NC4as_T4_v3', 'germanywestcentral'),
  ...{
    score: usd('0.07238'),
    chosen: false,
    rejectedBecause: { code: 'DEARER', message: 'It costs 0.01452 USD per hour more.' },
  },
};
const small = (place: string) => ({
  ...machine('Standard_NV12ads_A10_v5', place),
  score: null,
  chosen: false,
  rejectedBecause: {
    code: 'ACCELERATOR_MEMORY',
    message: 'Its share of one A10 has 4079 MiB; 8192 MiB are needed.',
  },
});

describe('CLI: a plan', () => {
  test('what fits is a table; what does not is told once per machine and reason; nothing is wider than 120 columns', () => {
    const lines = candidateLines([chosen, dearer, small('eastus'), small('eastus2'), small('westus2')])
      .join('\n')
      .split('\n');
    expect(lines).toEqual([
      '   OFFERING                    REGION              CAPACITY  PER HOUR  PER MONTH  WITH ALL  WHY',
      '*  azure Standard_NC4as_T4_v3  eastus2             spot      $0.0578   $42.2378   $0.0578   chosen',
      '   azure Standard_NC4as_T4_v3  germanywestcentral  spot      $0.0578   $42.2378   $0.0723   DEARER',
      'The price of the chosen one is from azure@2024-08-09.',
      'Did not fit, the closest:',
      '   azure Standard_NV12ads_A10_v5 in eastus and 2 more regions, spot, from $0.0578 per hour',
      '      ACCELERATOR_MEMORY: Its share of one A10 has 4079 MiB; 8192 MiB are needed.',
    ]);
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(120);
  });

  test('where replicas go is told, also where nothing is rented for them', () => {
    const offering = 'azure/eastus2/-/Standard_NC4as_T4_v3/spot';
    const place = { cluster: 'local', pool: 'default', offering, replicas: 1, hourly: usd('0.05786') };
    expect(
      placeLines([
        { ...place, machines: null },
        { ...place, cluster: 'east', pool: 't4', machines: 2 },
      ]),
    ).toEqual([
      `1 on local/default: what is there, priced as ${offering}, $0.0578 per hour`,
      `1 on east/t4: 2 × ${offering}, $0.0578 per hour`,
    ]);
  });

  test('the next command repeats the wish for a shell, and not how the plan was asked for', () => {
    const written: string[] = [];
    const command = withWishOptions(new Command().argument('<path>').option('--plan').option('--timeout <s>', '', '120'));
    command.action((_path: string, _options: object, self: Command) => void written.push(asWritten(self)));
    command.parse(['a/b/c', '--region', 'aws/*', 'gcp/us-east1', '--gpu', 'any:8', '--plan', '--timeout', '9'], { from: 'user' });
    expect(written).toEqual([" --gpu any:8 --region 'aws/*' gcp/us-east1"]);
  });
});

describe('CLI: what a check found', () => {
  test('is one line each; what was said already is not said again', () => {
    const said = { status: 'FAILED', message: 'there are no credentials.\nlooked here\nlooked there' } as const;
    const check = [
      { aspect: 'CREDENTIALS', ...said } as const,
      { aspect: 'BILL', ...said } as const,
      { aspect: 'PRICES', status: 'OK', message: 'Read.' } as const,
    ];
    expect(findingTable([{ name: 'azure', check }]).split('\n')).toEqual([
      'CLOUD  ASPECT       STATUS  FINDING',
      'azure  credentials  failed  there are no credentials.',
      'azure  bill         failed  As credentials.',
      'azure  prices       ok      Read.',
    ]);
  });
});

describe('CLI: a wish', () => {
  test('says how long a replica may take to get ready', () => {
    expect(inputOf('a/b/c', { readyWithin: '30m' })).toMatchObject({ name: 'c', readinessTimeoutMs: 1_800_000 });
  });
});

describe('CLI: words of options', () => {
  test.each([
    [() => decimal('--percent', '12.5'), '12.5'],
    [() => instant('--from', '2027-01-01'), '2027-01-01T00:00:00.000Z'],
    [() => instant('--from', '2027-01-01T12:00:00+01:00'), '2027-01-01T11:00:00.000Z'],
    [() => since('36h'), 129_600_000],
    [() => duration('--ready-within', '10m'), 600_000],
    [() => region('--region', 'aws/*'), 'aws/*'],
  ])('%s', (read, value) => {
    expect(read()).toBe(value);
  });

  test.each([
    [() => decimal('--percent', 'abc'), '--percent "abc" must be a number such as 12.5.'],
    [() => decimal('--rate', '1e3'), '--rate "1e3" must be a number such as 12.5.'],
    [() => instant('--from', 'tomorrow'), '--from "tomorrow" must be like 2027-01-01 or 2027-01-01T12:00:00Z.'],
    [() => instant('--from', '2027-13-01'), '--from "2027-13-01" must be like 2027-01-01 or 2027-01-01T12:00:00Z.'],
    [() => duration('--ready-within', '10'), '--ready-within "10" must look like 90s, 10m or 1h.'],
    [() => since('2w'), '--since "2w" must look like 30m, 24h or 7d.'],
    [() => region('--region', 'us-east-1'), `--region "us-east-1" must be provider/region, such as aws/us-east-1 or 'aws/*'.`],
  ])('%s is refused', (read, message) => {
    expect(read).toThrow(message);
  });
});
