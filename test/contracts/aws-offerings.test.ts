// What EC2 says of its instance types against the bundled catalogue, which was made from other sources: moto answers with EC2's real data. Skipped by
// name where moto is not installed.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AwsCloud } from '../../src/clouds/aws/aws-cloud.adapter.ts';
import { AwsSettings } from '../../src/clouds/aws/aws-settings.adapter.ts';
import type { Offering } from '../../src/clouds/offering.ts';
import { parseOfferings } from '../../src/pricing/parse-catalogue.ts';
import '../support/aws-clients.ts';
import { findMoto, startMoto, type Moto } from '../support/moto.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const program = findMoto();
const REGION = 'us-east-1';
const BOOK = join(import.meta.dirname, '..', '..', 'deploy', 'price-book', 'offerings.csv.gz');

describe.skipIf(program === null)('Offerings: EC2 and the bundled catalogue', () => {
  let moto: Moto;
  beforeAll(async () => {
    moto = await startMoto(program ?? '');
  });
  afterAll(() => moto.stop());

  test('types that both know have the same processor, memory and accelerators', async () => {
    const settings = AwsSettings.parse({
      regions: [REGION],
      endpoints: { all: moto.url },
      spotAdvisorUrl: null,
      deadlineMs: 50_000,
    });
    const cloud = new AwsCloud({ name: 'aws', settings, clock: { now: () => 0 }, logger: quietLogger });
    const { offerings, unreadable } = await cloud.listOfferings([`aws/${REGION}`]);
    expect(unreadable).toEqual([]);
    const theirs = new Map(
      offerings.filter(({ capacityType }) => capacityType === 'on_demand').map((one) => [one.instanceType, one]),
    );
    expect(theirs.size).toBeGreaterThan(800);
    const book = parseOfferings(gunzipSync(readFileSync(BOOK)).toString()).map(({ offering }) => offering);
    const both = book
      .filter((one) => one.provider === 'aws' && one.region === REGION && one.capacityType === 'on_demand')
      .flatMap((one): [Offering, Offering][] => {
        const other = theirs.get(one.instanceType);
        return other ? [[one, other]] : [];
      });
    expect(both.length).toBeGreaterThan(400);
    const differ = both
      .filter(([one, other]) => one.memoryMib !== null && shapeOf(one) !== shapeOf(other))
      .map((pair) => pair.map((one) => `${one.instanceType} ${shapeOf(one)}`));
    expect(differ).toEqual([]);
  });
});

const shapeOf = ({ architecture, cpuMilli, memoryMib, accelerator }: Offering): string =>
  [
    architecture,
    cpuMilli,
    memoryMib,
    accelerator ? `${accelerator.countMilli}×${accelerator.model} ${accelerator.memoryMib}` : '-',
  ].join(' ');
