import { failure, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import {
  checkPoolList,
  checkSettings,
  type CapacitySource,
  type Cluster,
  type ClusterAccess,
  type ClusterConfig,
  type Pool,
  type PoolWish,
} from './cluster.ts';

/** What shall become of a registered cluster; null = as it is. */
export interface ClusterEdit {
  readonly access: ClusterAccess | null;
  readonly modelServerImage: string | null;
  readonly routerCidrs: readonly string[] | null;
  readonly routerNamespace: string | null;
  /** To be added, or changed where the cluster has one of this name. Without an offering a known pool keeps its own. */
  readonly pools: readonly PoolWish[];
  /** Where its pools may rent, all of it; absent or null = as it is. */
  readonly capacitySources?: readonly CapacitySource[] | null;
  /** Names of pools to be taken out. */
  readonly removePools: readonly string[];
}

export interface ClusterFacts {
  readonly cluster: Cluster;
  /** Those that it has. */
  readonly pools: readonly Pool[];
  /** Removed ones whose machines are still being given back. */
  readonly leaving: readonly Pool[];
  /** Workloads that are wished or left on each pool. */
  readonly used: ReadonlyMap<Id, number>;
}

export interface ClusterChanges {
  readonly config: ClusterConfig | null;
  readonly capacitySources: readonly CapacitySource[];
  /** What changes, in words; empty = nothing. */
  readonly parts: readonly string[];
  readonly added: readonly PoolWish[];
  readonly changed: readonly { readonly before: Pool; readonly after: Pool }[];
  readonly removed: readonly Pool[];
}

/**
 * What an edit of a cluster comes to. Namespaces name the installation there and never change. Failures: INVALID_INPUT, NOT_FOUND (a pool to
 * be removed), PRECONDITION_FAILED.
 */
export function changeCluster(facts: ClusterFacts, edit: ClusterEdit): Result<ClusterChanges, Failure> {
  const { cluster, pools } = facts;
  const config = cluster.config && editedConfig(cluster.config, edit);
  const wrong =
    refuseKind(cluster, edit) ??
    (config && checkSettings(config)) ??
    refusePools(facts, edit) ??
    refuseRemoval(facts, edit.removePools);
  if (wrong) return err(wrong);
  const changed = changedPools(pools, edit.pools);
  const removed = pools.filter(({ name }) => edit.removePools.includes(name));
  const added = edit.pools.filter((wish) => !pools.some(({ name }) => name === wish.name));
  const before = cluster.capacitySources ?? [];
  const capacitySources = edit.capacitySources ?? before;
  const parts = [
    ...changedSettings(cluster.config, config),
    ...(isSame(before, capacitySources) ? [] : ['capacity sources']),
    ...added.map(({ name }) => `pool ${name} added`),
    ...changed.map(({ after }) => `pool ${after.name} changed`),
    ...removed.map(({ name }) => `pool ${name} removed`),
  ];
  return ok({ config, capacitySources, parts, added, changed, removed });
}

const editedConfig = (config: ClusterConfig, edit: ClusterEdit): ClusterConfig => ({
  ...config,
  access: edit.access ?? config.access,
  modelServerImage: edit.modelServerImage ?? config.modelServerImage,
  routerSources: {
    namespace: edit.routerNamespace ?? config.routerSources.namespace,
    cidrs: edit.routerCidrs ?? config.routerSources.cidrs,
  },
});

const SETTINGS = { access: 'access', modelServerImage: 'model server image', routerSources: 'router sources' } as const;

function changedSettings(before: ClusterConfig | null, after: ClusterConfig | null): string[] {
  const keys = Object.keys(SETTINGS) as (keyof typeof SETTINGS)[];
  return keys.filter((key) => !isSame(before?.[key], after?.[key])).map((key) => SETTINGS[key]);
}

function changedPools(pools: readonly Pool[], wishes: readonly PoolWish[]): ClusterChanges['changed'] {
  return pools.flatMap((before) => {
    const wish = wishes.find(({ name }) => name === before.name);
    if (!wish) return [];
    const { nodeSelector } = wish;
    const offeringId = wish.offeringId ?? before.offeringId;
    const isUnchanged = offeringId === before.offeringId && isSame(nodeSelector, before.nodeSelector);
    return isUnchanged ? [] : [{ before, after: { ...before, nodeSelector, offeringId, version: before.version + 1 } }];
  });
}

function refuseKind({ kind }: Cluster, edit: ClusterEdit): Failure | null {
  const { access, modelServerImage, routerCidrs, routerNamespace } = edit;
  if (kind === 'local') return failure('PRECONDITION_FAILED', 'The local cluster is as its machine is: it has no settings.');
  const hasSettings = [access, modelServerImage, routerCidrs, routerNamespace].some((one) => one !== null);
  return hasSettings && kind !== 'kubernetes' ? failure('PRECONDITION_FAILED', 'Only Kubernetes clusters have settings.') : null;
}

function refusePools({ pools, leaving }: ClusterFacts, { pools: wishes, removePools }: ClusterEdit): Failure | null {
  const both = wishes.find(({ name }) => removePools.includes(name));
  if (both) return refused('INVALID_INPUT', 'removePools', `Pool ${both.name} cannot both stay and go.`);
  const stays = pools.filter(({ name }) => !removePools.includes(name) && !wishes.some((wish) => wish.name === name));
  const wrong = checkPoolList([...stays, ...wishes]);
  if (wrong) return wrong;
  const other = pools.find(({ name, capacityType }) =>
    wishes.some((wish) => wish.name === name && wish.capacityType !== capacityType),
  );
  const hint = 'Add another pool, deploy there what runs here, and remove this one.';
  if (other) return refused('INVALID_INPUT', 'pools', `Pool ${other.name} is ${other.capacityType}: that cannot change.`, hint);
  const gone = leaving.find(({ name }) => wishes.some((wish) => wish.name === name));
  if (!gone) return null;
  const message = `Machines of the pool ${gone.name} that was removed are still being given back.`;
  return refused('PRECONDITION_FAILED', 'pools', message, 'Wait, or choose another name.');
}

function refuseRemoval({ pools, used }: ClusterFacts, names: readonly string[]): Failure | null {
  const absent = names.find((name) => !pools.some((pool) => pool.name === name));
  if (absent !== undefined) return refused('NOT_FOUND', 'removePools', `The cluster has no pool ${absent}.`);
  const busy = pools.find(({ id, name }) => names.includes(name) && (used.get(id) ?? 0) > 0);
  if (!busy) return null;
  const count = used.get(busy.id) ?? 0;
  const message = `${count} ${count === 1 ? 'workload is' : 'workloads are'} still on pool ${busy.name} or wished there.`;
  return refused('PRECONDITION_FAILED', 'removePools', message, 'Deploy what is placed there to another pool, or delete it.');
}

const refused = (code: Failure['code'], field: string, message: string, hint?: string): Failure =>
  failure(code, message, { path: ['input', field], ...(hint === undefined ? {} : { hint }) });

/** The database keeps the keys of an object in an order of its own. */
const isSame = (a: unknown, b: unknown): boolean => sorted(a) === sorted(b);

const sorted = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
