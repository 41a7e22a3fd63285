import type { CloudNode, CloudPoolState } from '../clouds/cloud-provider.port.ts';
import type { Instant } from '../kernel/instant.ts';
import type { ObservedNode } from './cluster-inventory.port.ts';
import {
  isIdle,
  isRunning,
  isTooSoon,
  machineOf,
  PROVIDER_UNKNOWN,
  type PlannedStep,
  type PoolPace,
  type PoolPlan,
} from './plan-pools.ts';
import type { ScaledPool } from './plan-pools.ts';

const REASON = 'The pool was removed.';

/**
 * The next step of a pool that was removed: its nodes take nothing new, what runs there moves, machines without work are given back by name, and
 * once the last is gone its provider forgets the pool. Nodes that its provider did not rent, and pods of others, are left alone.
 */
export function planPoolRemoval(one: ScaledPool, pace: PoolPace, now: Instant): PoolPlan {
  const { pool, cloud } = one;
  if (!cloud) return { poolId: pool.id, steps: [], stalled: PROVIDER_UNKNOWN };
  const rented = one.nodes.filter((node) => machineOf(node, cloud) !== undefined);
  const steps = [...cordon(one, rented, cloud), ...forget(one, rented, cloud)];
  if (steps.length > 0) return { poolId: pool.id, steps, stalled: stalledBy(rented) };
  const isRefused = one.refusedUntil !== null && now < one.refusedUntil;
  const next = giveBack(one, rented, cloud).filter(
    ({ step }) => !isRefused && (step.kind === 'delete' || !isTooSoon(one, pace.stepMs, now)),
  );
  return { poolId: pool.id, steps: next, stalled: stalledBy(rented) };
}

const cordon = ({ pool }: ScaledPool, nodes: readonly ObservedNode[], cloud: CloudPoolState): PlannedStep[] =>
  nodes
    .filter((node) => (node.schedulable || !node.releasing) && isRunning(machineOf(node, cloud)))
    .map(({ uid, name }) => ({ step: { kind: 'cordon', poolId: pool.id, node: { uid, name } }, reason: REASON }));

/** Nodes whose machine is gone: their pods have ended. */
const forget = ({ pool }: ScaledPool, nodes: readonly ObservedNode[], cloud: CloudPoolState): PlannedStep[] =>
  nodes
    .filter((node) => node.readiness !== 'ready' && machineOf(node, cloud)?.phase === 'gone')
    .map(({ uid, name }) => ({
      step: { kind: 'forget', poolId: pool.id, node: { uid, name } },
      reason: `The machine of node ${name} is gone.`,
    }));

function giveBack({ pool }: ScaledPool, nodes: readonly ObservedNode[], cloud: CloudPoolState): PlannedStep[] {
  const held = cloud.nodes.filter(isRunning);
  const busy = nodes.filter((node) => !isIdle(node)).map((node) => machineOf(node, cloud)?.instanceId);
  const release = held.map(({ instanceId }) => instanceId).filter((id) => !busy.includes(id));
  const to = held.length - release.length;
  if (release.length > 0 || cloud.desired > to)
    return [{ step: { kind: 'scale', poolId: pool.id, from: cloud.desired, to, release }, reason: REASON }];
  const isEmpty = cloud.nodes.every(isGone) && nodes.length === 0 && cloud.desired === 0;
  return isEmpty ? [{ step: { kind: 'delete', poolId: pool.id }, reason: REASON }] : [];
}

const isGone = ({ phase }: CloudNode): boolean => phase === 'gone';

/** What others run there ends when they say so. */
function stalledBy(nodes: readonly ObservedNode[]): PoolPlan['stalled'] {
  const foreign = nodes.flatMap(({ pods }) => pods).filter(({ workloadId, daemon }) => workloadId === null && !daemon);
  if (foreign.length === 0) return null;
  const message = `${foreign.length} pods of others run on its nodes, such as ${foreign[0]?.owner ?? ''}: they are left alone.`;
  return { reason: 'PODS_OF_OTHERS', message };
}
