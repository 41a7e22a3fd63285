// Capacity that is paid for already, against a real database with the whole bundled price book: reservations of machines that are not the cheapest, nodes that
// have nothing to do.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { offeringKeyText } from '../../src/clouds/offering-key.ts';
import type { Offering } from '../../src/clouds/offering.ts';
import type { DeployInput, DeployOptions } from '../../src/deployments/deploy.service.ts';
import { planFromJson } from '../../src/deployments/plan-json.ts';
import type { Plan } from '../../src/deployments/plan.ts';
import { freeOf } from '../../src/deployments/rented-pool.ts';
import type { ClusterNode } from '../../src/fleet/node.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import { principalOf } from '../support/actors.ts';
import type { TestDatabase } from '../support/database.ts';
import { type ControlPlane, type Ground } from '../support/deployments-world.ts';
import { GPU, openPlacementWorld, sourceOf } from '../support/placement-world.ts';

const regions = ['aws/us-east-1'];
const wish = { regions, resources: GPU, replicas: 2, maxSpendPerHour: 100n * PICO_PER_USD };

describe('Placement: what is paid for already is used first', () => {
  let db: TestDatabase;
  let ground: Ground;
  let plane: ControlPlane;

  beforeEach(async () => {
    ({ db, ground, plane } = await openPlacementWorld([sourceOf('aws', 'aws/us-east-1')]));
  });
  afterEach(() => db.close());

  /** By somebody of the team, who may see no agreement. */
  const deploy = async (more: Partial<DeployInput> = {}, how: Partial<DeployOptions> = { dryRun: true }): Promise<Plan> => {
    const outcome = await plane.deploys.deploy(
      { principal: principalOf('team_admin', ground.teamId), idempotencyKey: null },
      { ...wish, name: 'digits', project: { teamName: 'acme', name: 'demo' }, model: 'digits', version: { number: 1 }, ...more },
      { dryRun: false, planHash: null, expectedVersion: null, ...how },
    );
    if (!outcome.ok) throw new Error(outcome.error.message);
    return planFromJson(outcome.value.plan);
  };
  const placesOf = ({ places }: Plan) => places.map(({ offering, replicas }) => ({ offering, replicas }));

  /** One that fits one replica to a machine and is not the cheapest. */
  async function dearer(): Promise<Offering> {
    const { candidates } = await deploy();
    const one = candidates.find(
      ({ chosen, score, offering }) => !chosen && score !== null && offering.accelerator?.countMilli === 1000,
    );
    if (!one) throw new Error('nothing else fits');
    return one.offering;
  }
  const reserve = (covers: Offering, count: number) =>
    plane.agreements.set(plane.caller, {
      ...{ name: 'base', validFrom: null, validUntil: null, expectedVersion: null },
      spec: { kind: 'reservation', covers, count, ratePerHour: PICO_PER_USD / 100n },
    });

  test('a reservation of dearer machines, as far as it goes, and then the cheapest; for everybody, and once', async () => {
    const cheapest = placesOf(await deploy())[0]!.offering;
    const covers = await dearer();
    expect(await reserve(covers, 2)).toMatchObject({ ok: true });
    ground.clock.advance(60_000);
    const reserved = offeringKeyText(covers);
    expect(placesOf(await deploy())).toEqual([{ offering: reserved, replicas: 2 }]);
    expect((await deploy()).why).toBe('What is paid for already is used first.');
    const three = placesOf(await deploy({ replicas: 3 }));
    expect(three).toEqual([
      { offering: reserved, replicas: 2 },
      { offering: cheapest, replicas: 1 },
    ]);
    await deploy({}, {});
    expect(placesOf(await deploy({ name: 'second' }))).toEqual([{ offering: cheapest, replicas: 2 }]);
    // Its own limits count what it costs whoever pays: the machines at their price.
    const { peakHourly } = await deploy({ replicas: 2, concurrency: 7 });
    expect(peakHourly).toBeGreaterThan(0n);
  });

  test('a reservation outside of the policy, or of machines that nobody may rent, is left alone', async () => {
    const covers = await dearer();
    const before = placesOf(await deploy());
    expect(await reserve({ ...covers, region: 'us-west-2' }, 2)).toMatchObject({ ok: true });
    expect(placesOf(await deploy())).toEqual(before);
  });
});

describe('Placement: idle nodes are claimed once', () => {
  const offering = { id: 'o', cpuMilli: 4_000, memoryMib: 8_192, accelerator: null } as Partial<Offering> as Offering;
  const node = (id: string, idleSince: number | null): ClusterNode =>
    ({
      ...{ id, poolId: 'p', offeringId: 'o', zone: 'a', idleSince, readiness: 'ready', schedulable: true },
      ...{ notice: null, releasing: false, allocatable: { cpuMilli: 4_000, memoryMib: 8_192, accelerator: null } },
    }) as Partial<ClusterNode> as ClusterNode;
  const demand = { resources: { cpuMilli: 2_000, memoryMib: 256, accelerator: null }, capacityTypes: ['on_demand' as const] };

  test.each<[string, ClusterNode[], number, number]>([
    ['two idle nodes have room for two replicas each', [node('a', 1), node('b', 1)], 0, 4],
    ['one that others wish for is theirs: their pods are on their way', [node('a', 1), node('b', 1)], 1, 2],
    ['those that work are what others wish for', [node('a', 1), node('b', null)], 1, 2],
    ['all of them', [node('a', 1), node('b', 1)], 3, 0],
  ])('%s', (...[, nodes, wished, replicas]) => {
    const there = { offerings: new Map([['o', offering]]), machines: new Map([['p', wished]]) };
    expect(freeOf(nodes, there, demand).reduce((all, one) => all + one.replicas, 0)).toBe(replicas);
  });
});
