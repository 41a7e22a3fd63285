// A loop with its lease on a real database, and a cluster in memory that changes all the time: how often it is looked at.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ClusterLoop } from '../../src/deployments/cluster-loop.reconciler.ts';
import type { ClusterObservation } from '../../src/deployments/cluster.port.ts';
import { addCluster } from '../support/deployments-world.ts';
import { eventually } from '../support/eventually.ts';
import { SimulatedCluster } from '../support/simulated-cluster.ts';
import { openSpanningWorld, type SpanningWorld } from '../support/spanning-world.ts';

/** A pass takes at least this long, and rests as long. */
const ANSWER_MS = 25;

/** Notes when it was looked at, and takes its time to answer. */
class WatchedCluster extends SimulatedCluster {
  readonly looks: number[] = [];

  override async observe(): Promise<ClusterObservation> {
    this.looks.push(performance.now());
    await new Promise((resolve) => setTimeout(resolve, ANSWER_MS));
    return super.observe();
  }
}

let world: SpanningWorld;
let cluster: WatchedCluster;
let loop: ClusterLoop;

beforeEach(async () => {
  world = await openSpanningWorld();
  cluster = new WatchedCluster(world.ground.clock);
  // Led by nobody yet.
  await addCluster(world.ground, 'north');
  const { id } = world.ground.others.get('north')!;
  loop = new ClusterLoop({
    ...world.plane.depsOf(id, cluster),
    ...{ clock: { now: () => Date.now() }, random: world.ground.random, holder: 'loop' },
  });
});
afterEach(async () => {
  await loop.stop();
  await world.db.close();
});

describe('Deployments: a cluster that changes all the time', () => {
  test('is looked at again and again, and after each look left alone for as long as the look took', async () => {
    loop.start();
    const changing = setInterval(() => cluster.meddle((spec) => spec), 1);
    try {
      await eventually(() => cluster.looks.length >= 12);
    } finally {
      clearInterval(changing);
    }
    const gaps = cluster.looks.slice(1).map((at, n) => at - cluster.looks[n]!);
    const usual = gaps.sort((a, b) => a - b)[Math.floor(gaps.length / 2)];
    // Timers may be a millisecond early.
    expect(usual).toBeGreaterThanOrEqual(2 * ANSWER_MS - 2);
  });

  test('is looked at once more after its last change', async () => {
    loop.start();
    await eventually(() => cluster.looks.length >= 1);
    const before = cluster.looks.length;
    cluster.meddle((spec) => spec);
    await eventually(() => cluster.looks.length > before);
  });
});
