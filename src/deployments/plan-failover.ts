import { isLost, REACHABLE, type Cluster } from '../fleet/cluster.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { DeploymentSpec, PlacedCluster } from './deployment.ts';
import { splitReplicas } from './placement.ts';
import type { Workload } from './replica.ts';
import { knownHourlyOf } from './workload-cost.ts';

/** A deployment whose wish names clusters, as its workloads are. */
export interface FailoverWorld {
  readonly spec: DeploymentSpec;
  /** Of the one revision that has all traffic; those not removed, and empty ones of generation 0 where the wish has a cluster without any. */
  readonly workloads: readonly Workload[];
  /** By workload: replicas that serve, as last seen. */
  readonly serving: ReadonlyMap<Id, number>;
  /** Those that it is on or that it names. */
  readonly clusters: readonly Cluster[];
  readonly rates: ReadonlyMap<Id, PicoUsdPerHour>;
}

export interface FailoverChange {
  readonly workload: Workload;
  readonly replicas: number;
  /** Its cluster will not come back: nothing is wished there any more. */
  readonly gone: boolean;
}

export interface FailoverPlan {
  readonly changes: readonly FailoverChange[];
  readonly reasons: readonly string[];
}

/** A cluster must be out of sight, or back in sight, for this long. Higher: callers wait; lower: a short silence is paid for twice. */
export const CONFIRM_MS = 120_000;

/**
 * What clusters that are lost or out of sight lead to. Lost ones, which only a person declares, give up what is wished there, and the others
 * of the wish take it; one that is found again gets its share back. Silence never takes anything away: where all clusters that should serve are out of
 * sight for long enough, those that stand by get what they would need to serve alone, as far as the wish's own limits go. They shrink again by as much
 * as the first ones are seen to serve, whatever else is lost.
 */
export function planFailover(world: FailoverWorld, now: Instant): FailoverPlan {
  const byName = new Map(world.clusters.map((cluster) => [cluster.name, cluster]));
  const named = (world.spec.placement.clusters ?? []).filter(({ cluster }) => byName.has(cluster));
  const alive = named.filter(({ cluster }) => !isLost(byName.get(cluster) ?? NOT_LOST));
  const gone = world.workloads.filter(({ clusterName }) => isLost(byName.get(clusterName) ?? NOT_LOST));
  const kept = world.workloads.filter((workload) => !gone.includes(workload));
  if (alive.length === 0) return named.length === 0 && kept.length > 0 ? givingUp(world, gone) : NOTHING;
  const states = new Map(alive.map(({ cluster }) => [cluster, stateOf(byName.get(cluster), now)]));
  const dark = alive.filter(({ cluster }) => states.get(cluster) === 'dark');
  const standing = servingFrom(alive, (one) => dark.includes(one));
  const situation = { world, kept, alive, standing, states, hasLost: alive.length < named.length };
  const changes = [...gone.map(asGone), ...within(world, kept, wantedIn(situation))];
  const raise = situation.hasLost || standing.length < alive.length;
  return { changes, reasons: changes.length === 0 ? [] : reasonsOf({ world, gone, dark, raise }) };
}

interface Situation {
  readonly world: FailoverWorld;
  /** Workloads that are not on lost clusters. */
  readonly kept: readonly Workload[];
  /** Clusters of the wish that are not lost, and those of them that are to serve or to stand by for these. */
  readonly alive: readonly PlacedCluster[];
  readonly standing: readonly PlacedCluster[];
  readonly states: ReadonlyMap<string, Sight>;
  readonly hasLost: boolean;
}

function wantedIn({ world, kept, alive, standing, states, hasLost }: Situation): FailoverChange[] {
  const split = splitReplicas(world.spec.replicas, standing);
  const isDark = standing.length < alive.length;
  const first = Math.min(...alive.map(({ order }) => order));
  const firsts = alive
    .filter(({ cluster, order }) => order === first && states.get(cluster) === 'seen')
    .map(({ cluster }) => cluster);
  const served = kept
    .filter(({ clusterName }) => firsts.includes(clusterName))
    .reduce((all, { id }) => all + (world.serving.get(id) ?? 0), 0);
  const sumIn = (cluster: string): number =>
    kept.filter(({ clusterName }) => clusterName === cluster).reduce((all, { replicas }) => all + replicas, 0);
  const stoodIn = isDark
    ? []
    : standing.filter(({ cluster, order }) => order > first && sumIn(cluster) > (split.get(cluster) ?? 0));
  // Who stood in keeps what the first ones do not serve yet.
  for (const { cluster } of stoodIn)
    split.set(cluster, Math.min(sumIn(cluster), Math.max(split.get(cluster) ?? 0, world.spec.replicas - served)));
  return kept.flatMap((workload): FailoverChange[] => {
    const place = standing.find(({ cluster }) => cluster === workload.clusterName);
    const replicas = wantedOf(workload, kept, split);
    if (!place || replicas === workload.replicas) return [];
    const mayGrow = hasLost || isDark || stoodIn.length > 0 || workload.generation === 0;
    const isGrowing = replicas > workload.replicas;
    if (isGrowing ? mayGrow && !(place.order === first && followsSpot(workload, kept)) : stoodIn.includes(place))
      return [{ workload, replicas, gone: false }];
    return [];
  });
}

/** Who follows the market shares its replicas out over its pools by itself. */
function followsSpot({ clusterName }: Workload, kept: readonly Workload[]): boolean {
  const here = kept.filter((one) => one.clusterName === clusterName);
  return here.length > 1 && here.some(({ capacityType }) => capacityType === 'spot');
}

/** What its cluster shall have and its other pools there do not; the largest of a cluster takes it all. */
function wantedOf(
  { id, clusterName, replicas }: Workload,
  kept: readonly Workload[],
  split: ReadonlyMap<string, number>,
): number {
  const here = kept.filter((one) => one.clusterName === clusterName);
  const largest = here.reduce((a, b) => (b.replicas > a.replicas ? b : a));
  const sum = here.reduce((all, one) => all + one.replicas, 0);
  return largest.id === id ? Math.max(0, (split.get(clusterName) ?? sum) - sum + replicas) : replicas;
}

const asGone = (workload: Workload): FailoverChange => ({ workload, replicas: workload.replicas, gone: true });

/** The wish names no clusters, and another place was found: what was wished on a lost one holds quotas for nothing. */
const givingUp = (world: FailoverWorld, gone: readonly Workload[]): FailoverPlan => ({
  changes: gone.map(asGone),
  reasons: gone.length === 0 ? [] : reasonsOf({ world, gone, dark: [], raise: true }),
});

const NOTHING: FailoverPlan = { changes: [], reasons: [] };
const NOT_LOST = { lostAt: null };

/** Unknown between the two: not long enough either way. */
type Sight = 'seen' | 'dark' | 'unknown';

function stateOf(cluster: Cluster | undefined, now: Instant): Sight {
  const reachable = cluster?.conditions.find(({ type }) => type === REACHABLE);
  if (!reachable) return 'unknown';
  if (now - reachable.lastTransitionTime < CONFIRM_MS) return 'unknown';
  return reachable.status === 'False' ? 'dark' : 'seen';
}

/** Those of the lowest order that is not all dark, and of later ones; all of them where every one is dark. */
function servingFrom(alive: readonly PlacedCluster[], isDark: (one: PlacedCluster) => boolean): readonly PlacedCluster[] {
  const orders = [...new Set(alive.map(({ order }) => order))].sort((a, b) => a - b);
  const first = orders.find((order) => alive.some((one) => one.order === order && one.weight > 0 && !isDark(one)));
  return first === undefined ? alive : alive.filter(({ order }) => order >= first);
}

/** What is asked for more, as far as maxReplicas and maxSpendPerHour go: what cannot be seen still counts, and nothing is added whose price nobody knows. */
function within({ spec, rates }: FailoverWorld, kept: readonly Workload[], wanted: readonly FailoverChange[]): FailoverChange[] {
  let replicas = kept.reduce((all, workload) => all + workload.replicas, 0);
  let hourly = knownHourlyOf(kept, rates);
  return wanted.flatMap((change) => {
    const { workload } = change;
    let to = change.replicas;
    const more = (): PicoUsdPerHour => knownHourlyOf([{ ...workload, replicas: to }], rates) - knownHourlyOf([workload], rates);
    const beyond = (): boolean =>
      to > workload.replicas &&
      (!rates.has(workload.offeringId) ||
        replicas + to - workload.replicas > spec.maxReplicas ||
        hourly + more() > spec.maxSpendPerHour);
    while (beyond()) to -= 1;
    replicas += to - workload.replicas;
    hourly += more();
    return to === workload.replicas ? [] : [{ ...change, replicas: to }];
  });
}

function reasonsOf({
  world,
  gone,
  dark,
  raise,
}: {
  readonly world: FailoverWorld;
  readonly gone: readonly Workload[];
  readonly dark: readonly PlacedCluster[];
  readonly raise: boolean;
}): string[] {
  const lost = [...new Set(gone.map(({ clusterName }) => clusterName))];
  return [
    ...lost.map((name) => `Cluster ${name} was declared lost: what was wished there is wished elsewhere.`),
    ...(raise
      ? dark.map(({ cluster }) => `Cluster ${cluster} cannot be seen: those that stand by get what they need to serve alone.`)
      : []),
    ...(raise ? [] : [`The first clusters of ${world.spec.model} serve again: those that stand by shrink.`]),
  ];
}
