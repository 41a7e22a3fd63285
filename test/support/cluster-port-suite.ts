// One suite for every cluster: a factory gives a real one, and only the port is used.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ClusterPort, ObservedReplica, WorkloadSpec } from '../../src/deployments/cluster.port.ts';
import { eventually as within } from './eventually.ts';

/** A cluster and what runs on it: workloads that answer every path with 200, and log `asked /second` when they are asked for `secondPath`. */
export interface ClusterPortSubject {
  readonly cluster: ClusterPort;
  readonly workload: (more?: Partial<WorkloadSpec>) => WorkloadSpec;
  /** Default `/second`. */
  readonly secondPath?: string;
  /** How long a replica may take to start or to end; default 10 s. */
  readonly patienceMs?: number;
  close(): Promise<void>;
}

/** How many replicas the suite starts on one cluster at most. */
export const MOST_REPLICAS = 16;

export function clusterPortSuite(name: string, open: () => Promise<ClusterPortSubject>): void {
  describe(`Cluster adapter: the contract of the port, ${name}`, () => {
    let subject: ClusterPortSubject;
    const eventually = <T>(check: () => T | Promise<T>) => within(check, subject.patienceMs);
    const fence = { epoch: 5 };
    const replicasOf = async (spec: WorkloadSpec): Promise<readonly ObservedReplica[]> =>
      (await subject.cluster.observe()).replicas.filter((replica) => replica.workloadId === spec.workloadId);
    const serving = (spec: WorkloadSpec, count: number) =>
      eventually(async () => {
        const found = (await replicasOf(spec)).filter((replica) => replica.state === 'serving');
        return found.length === count && found;
      });

    beforeAll(async () => {
      subject = await open();
    });
    afterAll(() => subject.close());

    test('apply starts as many replicas as wished, each with an address that answers', async () => {
      const spec = subject.workload({ replicas: 2 });
      expect(await subject.cluster.apply(spec, fence)).toEqual({ outcome: 'applied' });
      for (const replica of await serving(spec, 2)) {
        expect((await fetch(`http://${replica.address ?? ''}/`)).status).toBe(200);
        expect(replica.transitions.map((transition) => transition.state)).toEqual(['starting', 'serving']);
        expect(replica.capacityUntil).toBeNull();
      }
      expect((await subject.cluster.observe()).workloads).toContainEqual(
        expect.objectContaining({ workloadId: spec.workloadId, generation: 1, replicas: 2, problem: null }),
      );
    });

    test('a repeat is unchanged, an older generation or epoch changes nothing and says so', async () => {
      const spec = subject.workload({ generation: 3 });
      await subject.cluster.apply(spec, fence);
      expect(await subject.cluster.apply(spec, fence)).toEqual({ outcome: 'unchanged' });
      expect(await subject.cluster.apply({ ...spec, generation: 2, replicas: 9 }, fence)).toEqual({
        outcome: 'stale_generation',
        seenGeneration: 3,
      });
      expect(await subject.cluster.apply({ ...spec, generation: 4 }, { epoch: 4 })).toEqual({
        outcome: 'stale_epoch',
        seenEpoch: 5,
      });
      expect(await subject.cluster.remove(spec.workloadId, { epoch: 4 })).toEqual({ outcome: 'stale_epoch', seenEpoch: 5 });
      await serving(spec, 1);
      expect(await replicasOf(spec)).toHaveLength(1);
    });

    test('fewer replicas drain the surplus, which stays in the history', async () => {
      const spec = subject.workload({ replicas: 2 });
      await subject.cluster.apply(spec, fence);
      await serving(spec, 2);
      await subject.cluster.apply({ ...spec, generation: 2, replicas: 1 }, fence);
      const gone = await eventually(
        async () => (await replicasOf(spec)).find((replica) => replica.capacityUntil !== null) ?? false,
      );
      expect(gone.transitions.map((transition) => transition.state)).toEqual(['starting', 'serving', 'draining']);
      expect(gone.untilEstimated).toBe(false);
      expect(await serving(spec, 1)).toHaveLength(1);
    });

    test('remove gives every replica up and forgets the workload; a repeat is unchanged', async () => {
      const spec = subject.workload();
      await subject.cluster.apply(spec, fence);
      await serving(spec, 1);
      expect(await subject.cluster.remove(spec.workloadId, fence)).toEqual({ outcome: 'applied' });
      expect(await subject.cluster.remove(spec.workloadId, fence)).toEqual({ outcome: 'unchanged' });
      await eventually(async () => (await replicasOf(spec)).every((replica) => replica.capacityUntil !== null));
      expect((await subject.cluster.observe()).workloads.some((found) => found.workloadId === spec.workloadId)).toBe(false);
    });

    test('a workload that was removed can be applied again, with new replicas', async () => {
      const spec = subject.workload();
      await subject.cluster.apply(spec, fence);
      const [before] = await serving(spec, 1);
      await subject.cluster.remove(spec.workloadId, fence);
      expect(await subject.cluster.apply({ ...spec, generation: 2 }, fence)).toEqual({ outcome: 'applied' });
      const held = () =>
        eventually(async () => {
          const found = (await replicasOf(spec)).filter(
            ({ capacityUntil, state }) => capacityUntil === null && state === 'serving',
          );
          return found.length === 1 && found;
        });
      const [after] = await held();
      expect(after!.replicaId).not.toBe(before!.replicaId);
    });

    test('tidying up touches nothing of what runs, named or not', async () => {
      const spec = subject.workload();
      await subject.cluster.apply(spec, fence);
      const [before] = await serving(spec, 1);
      expect(await subject.cluster.tidy(new Set(), fence)).toEqual({ outcome: 'unchanged' });
      const project = `${spec.teamName}/${spec.projectName}`;
      expect(await subject.cluster.tidy(new Set([project]), fence)).toEqual({ outcome: 'unchanged' });
      const [after] = await serving(spec, 1);
      expect(after!.replicaId).toBe(before!.replicaId);
    });

    test('changed wakes on a change and on abort', async () => {
      await subject.cluster.observe();
      const woken = subject.cluster.changed(new AbortController().signal);
      await subject.cluster.apply(subject.workload(), fence);
      await woken;
      await subject.cluster.changed(AbortSignal.abort());
    });

    test('logs go on at the cursor; an unknown replica has an empty page', async () => {
      const spec = subject.workload();
      await subject.cluster.apply(spec, fence);
      const [replica] = await serving(spec, 1);
      const first = await eventually(async () => {
        const page = await subject.cluster.logs(replica!.replicaId, { cursor: null, limit: 10 });
        return page.lines.length > 0 && page;
      });
      await fetch(`http://${replica!.address ?? ''}${subject.secondPath ?? '/second'}`);
      const next = await eventually(async () => {
        const page = await subject.cluster.logs(replica!.replicaId, { cursor: first.cursor, limit: 1_000 });
        return page.lines.some((line) => line.text === 'asked /second') && page;
      });
      expect(next.lines.every((line) => line.stream === 'stdout')).toBe(true);
      expect((await subject.cluster.logs('unknown', { cursor: null, limit: 10 })).lines).toEqual([]);
    });
  });
}
