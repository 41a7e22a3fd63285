import type { DecisionsService } from '../decisions/decisions.service.ts';
import { record } from '../events/event-log.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import type { Lease } from '../persistence/lease.ts';
import type { Reconciliation } from '../reconcile/loop.ts';
import type { Logger } from '../telemetry/logger.ts';
import { replicasSpread } from './deployment.events.ts';
import { planLiveSpot, type LiveSpotPlan, type LiveSpotWorld } from './plan-live-spot.ts';
import type { Workload } from './replica.ts';
import { SpotWorlds, type Spread, type SpotWorldsDeps } from './spot-worlds.service.ts';
import type { WishWriter } from './wish-writer.service.ts';
import { knownHourlyOf } from './workload-cost.ts';

export interface SpotReconcilerDeps extends SpotWorldsDeps {
  readonly database: Database;
  readonly clusters: SpotWorldsDeps['clusters'] & Pick<ClusterStore, 'lockPools'>;
  readonly writer: Pick<WishWriter, 'checkQuotas' | 'claim'>;
  readonly decisions: Pick<DecisionsService, 'record'>;
  readonly logger: Logger;
  /** Null while another instance leads. */
  readonly lease: () => Lease | null;
}

type Step = Spread & { readonly plan: LiveSpotPlan };

/** Null = this instance does not lead. */
export type SpotPassInput = { readonly lease: Lease; readonly spreads: readonly Spread[] } | null;
export type SpotPassPlan = { readonly lease: Lease; readonly steps: readonly Step[] } | null;

const SCOPE: Scope = { kind: 'reconciler', loop: 'spot' };
const PRINCIPAL = 'reconciler:spot';
/** Plans that are made anew in one pass because what they follow from changed meanwhile. Higher: a busy deployment holds up the others; lower: it waits for the next pass. */
const MAX_ANEW = 3;

/**
 * Spreads the replicas of every deployment that may use spot over its pools, as the market goes: one plan per pass and share, however many notices came. A
 * plan whose rows changed before it could be carried out is dropped and made again.
 */
export class SpotReconciler implements Reconciliation<SpotPassInput, SpotPassPlan> {
  readonly #deps: SpotReconcilerDeps;
  readonly #worlds: SpotWorlds;

  constructor(deps: SpotReconcilerDeps) {
    this.#deps = deps;
    this.#worlds = new SpotWorlds(deps);
  }

  async prepare(): Promise<SpotPassInput> {
    const lease = this.#deps.lease();
    return lease && { lease, spreads: await this.#read() };
  }

  plan(input: SpotPassInput, now: Instant): SpotPassPlan {
    return input && { lease: input.lease, steps: stepsOf(input.spreads, now) };
  }

  async execute(pass: SpotPassPlan, signal: AbortSignal): Promise<void> {
    if (!pass) return;
    let { steps } = pass;
    for (let attempt = 0; steps.length > 0 && attempt <= MAX_ANEW; attempt += 1) {
      const stale = new Set<Id>();
      for (const step of steps) {
        signal.throwIfAborted();
        if (step.plan.changes.length === 0 && !step.plan.isNews) continue;
        const isDone = await fencedWrite(this.#deps.database, { scope: SCOPE, lease: pass.lease }, (tx) => this.#write(tx, step));
        if (!isDone) stale.add(step.deployment.id);
      }
      steps = stale.size === 0 ? [] : stepsOf(await this.#read([...stale]), this.#deps.clock.now());
    }
  }

  #read(only?: readonly Id[]): Promise<Spread[]> {
    return this.#deps.database.read(SCOPE, (tx) => this.#worlds.read(tx, only));
  }

  /** Everything of one share in one transaction, nothing but what is remembered if a limit forbids more. False = it follows from rows that changed. */
  async #write(tx: Transaction, step: Step): Promise<boolean> {
    const { store, spot } = this.#deps;
    const { deployment, cluster, plan } = step;
    await store.lockTeam(tx, deployment.teamId);
    const locked = await store.lockDeployment(tx, deployment.id);
    const live = (await store.workloads(tx, [deployment.id])).filter(({ removedAt }) => removedAt === null);
    if (locked?.version !== deployment.version || !isSame(step.live, live)) return false;
    if (!(await this.#arePresent(tx, plan))) return false;
    const changes = (await this.#isAllowed(tx, step)) ? plan.changes : [];
    const memory = changes === plan.changes ? plan.memory : { ...plan.memory, held: plan.here };
    const owner = { deploymentId: deployment.id, cluster, teamId: deployment.teamId };
    if (plan.isNews || changes.length > 0) await spot.saveMemory(tx, owner, memory);
    if (changes.length > 0) await this.#spread(tx, step, live);
    return true;
  }

  /** Pools that it was not on could be taken out meanwhile: whoever places something there has them first. */
  async #arePresent(tx: Transaction, { changes }: LiveSpotPlan): Promise<boolean> {
    const added = changes.filter(({ workload }) => workload.generation === 0).map(({ workload }) => workload.poolId);
    if (added.length === 0) return true;
    return (await this.#deps.clusters.lockPools(tx, added, 'use')).length === added.length;
  }

  /** Quotas, and what sources of machines have left for the pools that grow. */
  async #isAllowed(tx: Transaction, { deployment, live, world, plan }: Step): Promise<boolean> {
    const { writer, clock, logger } = this.#deps;
    const { id: deploymentId, teamId, projectId } = deployment;
    if (plan.changes.length === 0) return true;
    const after = countsAfter(live, plan.changes);
    const wanted = { replicas: sumOf(after), hourly: knownHourlyOf(after, world.rates) };
    const isMore = wanted.replicas > sumOf(live) || wanted.hourly > knownHourlyOf(live, world.rates);
    const refused =
      (isMore ? await writer.checkQuotas(tx, { teamId, projectId, deploymentId }, wanted) : null) ??
      (await writer.claim(tx, { before: live, after }, { at: clock.now(), principal: PRINCIPAL }));
    if (refused) logger.warn({ deployment: deploymentId, why: refused.message }, 'a limit keeps replicas from being spread anew');
    return refused === null;
  }

  /** What its cluster said of a workload since it was read stays said. */
  async #spread(tx: Transaction, { deployment: before, world, plan }: Step, live: readonly Workload[]): Promise<void> {
    const { store, decisions, clock } = this.#deps;
    const at = clock.now();
    const now = countsAfter(live, plan.changes);
    for (const workload of now) if (!live.includes(workload)) await store.saveWorkload(tx, workload);
    const after = { ...before, version: before.version + 1, updatedAt: at };
    invariant(await store.updateDeployment(tx, after, before.version), 'a locked deployment keeps its version');
    const pools = now.map(({ clusterName, poolName, capacityType, replicas }) => ({
      ...{ cluster: clusterName, pool: poolName, capacityType, replicas },
    }));
    const from = live.map(({ poolName, replicas }) => ({ pool: poolName, replicas }));
    record(tx, replicasSpread({ deployment: after, from, to: pools, reasons: plan.reasons, at, principal: PRINCIPAL }));
    await decisions.record(tx, {
      ...{ teamId: before.teamId, projectId: before.projectId, deploymentId: before.id, kind: 'place_spot' },
      ...{ subjectKind: 'Deployment', subjectId: before.id, at, principal: PRINCIPAL, candidates: [], rejected: {} },
      inputs: { replicas: before.spec.replicas, from, leaving: leavingOf(world), refused: [...world.refused].sort() },
      ...{ chosen: { pools }, reasons: plan.reasons.length > 0 ? [...plan.reasons] : ['The cheapest mix that is safe enough.'] },
      expectedHourly: knownHourlyOf(now, world.rates),
    });
  }
}

const stepsOf = (spreads: readonly Spread[], now: Instant): Step[] =>
  spreads.flatMap((spread) => {
    const plan = planLiveSpot(spread.world, now);
    return plan ? [{ ...spread, plan }] : [];
  });

/** True if the plan would be the same: what a cluster has seen of a workload does not matter to it. */
function isSame(before: readonly Workload[], now: readonly Workload[]): boolean {
  const known = new Map(before.map((workload) => [workload.id, workload]));
  return (
    before.length === now.length &&
    now.every(({ id, replicas, generation }) => known.get(id)?.replicas === replicas && known.get(id)?.generation === generation)
  );
}

const leavingOf = ({ workloads, noticed }: LiveSpotWorld): number =>
  workloads.reduce((all, { id }) => all + (noticed.get(id) ?? 0), 0);

/** Workloads with their replicas then; those that are new last. */
function countsAfter(live: readonly Workload[], changes: LiveSpotPlan['changes']): Workload[] {
  const added = changes.flatMap(({ workload }) => (workload.generation === 0 ? [workload] : []));
  return [...live, ...added].map((one) => {
    const change = changes.find(({ workload }) => workload.id === one.id);
    return change ? { ...one, replicas: change.replicas, generation: one.generation + 1 } : one;
  });
}

const sumOf = (workloads: readonly Workload[]): number => workloads.reduce((all, { replicas }) => all + replicas, 0);
