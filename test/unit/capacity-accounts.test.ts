// What providers refused, by the account that refused it: two accounts of one cloud, in one region.
import { describe, expect, test } from 'vitest';
import type { Offering } from '../../src/clouds/offering.ts';
import { refusalsOf, type Source } from '../../src/deployments/rented-pool.ts';
import { capacityKeyOf, isSameCapacity, learnRefusal } from '../../src/fleet/capacity-answer.ts';
import type { Cluster } from '../../src/fleet/cluster.ts';
import { refusalOf, sourceFor, type PlaceFacts } from '../../src/scheduler/place-facts.ts';

const offering: Offering = {
  ...{ id: 'o1', provider: 'aws', region: 'us-east-1', zone: '', instanceType: 'm7i.large', capacityType: 'spot' },
  ...{ architecture: 'amd64', cpuMilli: 2_000, memoryMib: 8_192, accelerator: null, interruptionBand: null },
};
const from: Source = {
  key: 'mesh aws aws/us-east-1',
  cluster: { id: 'c', name: 'mesh' } as Partial<Cluster> as Cluster,
  source: { provider: 'aws', region: 'aws/us-east-1', maxNodes: 10, zones: [], config: {} },
};

describe('Capacity: two accounts of one cloud', () => {
  const second: Source = { ...from, key: 'mesh second aws/us-east-1', source: { ...from.source, provider: 'second' } };
  const keyIn = (provider: string) => capacityKeyOf({ capacityType: 'spot' }, { provider, config: {} }, offering);
  const said = (provider: string) =>
    learnRefusal(null, { key: keyIn(provider), reason: 'STOCK_OUT', message: 'none', retryAfterMs: null }, 0);
  const facts = (...refused: readonly string[]): PlaceFacts => ({
    refusals: refusalsOf(refused.map(said), [from, second], 1),
    rentable: [from, second].map(({ key, source }) => ({ source: key, region: source.region, zones: [], machines: 5 })),
  });
  const asked = { offering, zone: '', machines: 2 };

  test('teach each other nothing: what one refused, the other may have', () => {
    expect(isSameCapacity(keyIn('aws'), keyIn('second'))).toBe(false);
    expect([facts(), facts('aws'), facts('second')].map((one) => refusalOf(one, offering))).toEqual([
      ...[undefined, undefined, undefined],
    ]);
    expect([facts(), facts('aws'), facts('second')].map((one) => sourceFor(one, asked)?.source)).toEqual([
      ...[from.key, second.key, from.key],
    ]);
  });

  test('what both refused is nowhere to be had', () => {
    expect(refusalOf(facts('aws', 'second'), offering)).toMatchObject({ code: 'STOCK_OUT', message: 'Its provider said: none.' });
    expect(refusalOf(facts('aws', 'second'), { ...offering, instanceType: 'c7i.large' })).toBeUndefined();
  });
});
