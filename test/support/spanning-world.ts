import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import type { Cluster } from '../../src/fleet/cluster.ts';
import { openTestDatabase } from './database.ts';
import { addCluster, makeControlPlane, makeGround, rows } from './deployments-world.ts';
import type { SimulatedCluster } from './simulated-cluster.ts';

/** Clusters of a wish: name, weight, order. */
export const on = (...clusters: readonly (readonly [string, number, number?])[]) => ({
  clusters: clusters.map(([cluster, weight, order = 0]) => ({ cluster, weight, order })),
});

export type SpanningWorld = Awaited<ReturnType<typeof openSpanningWorld>>;

/** A team with a database of its own and three clusters: its first one and, beside it, east and west; one control plane leads them all. */
export async function openSpanningWorld() {
  const db = await openTestDatabase({ maxConnections: 4 });
  const ground = await makeGround(db.database, 'acme');
  const east = await addCluster(ground, 'east');
  const west = await addCluster(ground, 'west');
  const plane = await makeControlPlane(ground);
  return {
    ...{ db, ground, east, west, plane },
    /** Passes of all loops with time going by. */
    passes: async (count: number, ms = 1_000): Promise<void> => {
      for (let n = 0; n < count; n += 1) {
        ground.clock.advance(ms);
        await plane.pass();
      }
    },
    /** Types and names of events about clusters, without their registration. */
    clusterEvents: async (): Promise<string[]> =>
      (
        await rows<{ text: string }>(
          db.database,
          `select type || ' ' || (after->>'name') as text from outbox
           where subject_kind = 'Cluster' and type <> 'cluster.registered' order by seq`,
        )
      ).map(({ text }) => text),
    row: async (name: string): Promise<Cluster> => {
      const scope = { kind: 'reconciler', loop: 'test' } as const;
      const found = await db.database.read(scope, (tx) => new ClusterRepository().cluster(tx, { name }));
      if (!found) throw new Error(`no cluster ${name}`);
      return found;
    },
    /** Everything that loops may write; the same text twice means that nothing was written between. */
    fingerprint: async (): Promise<string> => {
      const tables = ['deployment', 'replica', 'workload', 'rollout', 'outbox', 'decision', 'cluster', 'replica_transition'];
      const parts = tables
        .map((table) => `select '${table} ' || xmin::text || ctid::text as x from ${table}`)
        .join(' union all ');
      const [all] = await rows<{ all: string }>(db.database, `select string_agg(x, ',' order by x) as all from (${parts}) s`);
      return all?.all ?? '';
    },
    workloadIds: async (): Promise<string[]> =>
      (await rows<{ id: string }>(db.database, `select id from workload where gone_at is null order by id`)).map(({ id }) => id),
    /** Passes until it is ready with so many replicas of a version on these clusters. */
    readyOn: (version: number, ...wanted: readonly [SimulatedCluster, number][]) =>
      plane.until(
        ({ phase }) =>
          phase === 'READY' && wanted.every(([one, count]) => one.running().join() === `v${version} serving ×${count}`),
      ),
  };
}
