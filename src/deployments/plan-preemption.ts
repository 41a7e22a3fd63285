import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import { hourlyFor } from './workload-cost.ts';
import { DEPLOYMENT_PRIORITIES, type DeploymentPriority } from './deployment.ts';

/** A quota that is too small by so much; of a team (project null) or of one project. */
export interface Shortage {
  readonly projectId: Id | null;
  readonly resource: 'replicas' | 'spend_per_hour';
  readonly by: bigint;
}

/** A deployment whose replicas may give way. */
export interface Holder {
  readonly deploymentId: Id;
  readonly projectId: Id;
  readonly priority: DeploymentPriority;
  readonly createdAt: Instant;
  readonly workloads: readonly HeldWorkload[];
}

export interface HeldWorkload {
  readonly id: Id;
  readonly revisionId: Id;
  readonly replicas: number;
  /** Of one machine; null = nobody knows it. */
  readonly price: PicoUsdPerHour | null;
  /** Replicas that share one; absent = each has its own. */
  readonly perMachine?: number;
}

/** Workloads that get fewer replicas. */
export interface GivenWay {
  readonly deploymentId: Id;
  readonly workloads: readonly { readonly id: Id; readonly from: number; readonly to: number }[];
}

/** What every revision keeps that has replicas: the deployment goes on serving, if slower, also in the middle of a rollout or with traffic on several. */
const GUARANTEED = 1;

/**
 * Which replicas of lower priority give way so that nothing is short any more: of the lowest priority first, of those the newest deployment, of that the
 * dearest replica, and never a revision's last one. Null = that would not be enough, and nobody gives way in vain.
 */
export function planPreemption(
  shortages: readonly Shortage[],
  holders: readonly Holder[],
  priority: DeploymentPriority,
): GivenWay[] | null {
  const rank = (of: DeploymentPriority): number => DEPLOYMENT_PRIORITIES.indexOf(of);
  const lower = holders
    .filter((holder) => rank(holder.priority) > rank(priority))
    .sort(
      (a, b) => rank(b.priority) - rank(a.priority) || b.createdAt - a.createdAt || (a.deploymentId < b.deploymentId ? 1 : -1),
    );
  let left = shortages;
  const given: GivenWay[] = [];
  for (const holder of lower) {
    const taken = takeFrom(holder, left);
    left = taken.left;
    const workloads = holder.workloads.flatMap(({ id, replicas }) => {
      const to = taken.replicas.get(id) ?? replicas;
      return to === replicas ? [] : [{ id, from: replicas, to }];
    });
    if (workloads.length > 0) given.push({ deploymentId: holder.deploymentId, workloads });
  }
  return left.every(({ by }) => by <= 0n) ? given : null;
}

/** One replica after the other, as long as that helps somebody. */
function takeFrom({ projectId, workloads }: Holder, shortages: readonly Shortage[]) {
  const replicas = new Map(workloads.map((workload) => [workload.id, workload.replicas]));
  const dearest = [...workloads].sort((a, b) => compareShares(b, a) || (a.id < b.id ? 1 : -1));
  const countOf = (id: Id): number => replicas.get(id) ?? 0;
  const heldBy = (revision: Id): number =>
    workloads.reduce((all, { id, revisionId }) => all + (revisionId === revision ? countOf(id) : 0), 0);
  let left = shortages;
  /** As few as help at all: one, or what must go before a machine is free; 0 = none of it helps. */
  const stepOf = (workload: HeldWorkload): number => {
    const held = countOf(workload.id);
    const most = Math.min(held, heldBy(workload.revisionId) - GUARANTEED);
    const short = left.filter((one) => one.by > 0n && concerns(one, projectId));
    const step = short.some(({ resource }) => resource === 'replicas') ? 1 : ((held - 1) % (workload.perMachine ?? 1)) + 1;
    return step <= most && short.some((one) => freed(one, workload, { held, step }) > 0n) ? step : 0;
  };
  for (let next = dearest.find(stepOf); next; next = dearest.find(stepOf)) {
    const [workload, held, step] = [next, countOf(next.id), stepOf(next)];
    replicas.set(workload.id, held - step);
    left = left.map((one) => (concerns(one, projectId) ? { ...one, by: one.by - freed(one, workload, { held, step }) } : one));
  }
  return { replicas, left };
}

/** By what one replica costs: its share of a machine. */
function compareShares(a: HeldWorkload, b: HeldWorkload): number {
  const [left, right] = [(a.price ?? 0n) * BigInt(b.perMachine ?? 1), (b.price ?? 0n) * BigInt(a.perMachine ?? 1)];
  return left === right ? 0 : left < right ? -1 : 1;
}

const concerns = (shortage: Shortage, projectId: Id): boolean => shortage.projectId === null || shortage.projectId === projectId;

/** What has no price frees nothing that anybody could count on. */
function freed(
  { resource }: Shortage,
  workload: HeldWorkload,
  { held, step }: { readonly held: number; readonly step: number },
): bigint {
  if (resource === 'replicas') return BigInt(step);
  return (hourlyFor(workload, held) ?? 0n) - (hourlyFor(workload, held - step) ?? 0n);
}
