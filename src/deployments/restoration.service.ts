import type { DecisionsService } from '../decisions/decisions.service.ts';
import { record } from '../events/event-log.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Id } from '../kernel/id.ts';
import { invariant } from '../kernel/invariant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import type { Lease } from '../persistence/lease.ts';
import { replicasGaveWay } from './deployment.events.ts';
import { DEPLOYMENT_PRIORITIES, deploymentPath, priorityOf, type Deployment } from './deployment.ts';
import { brokenGuard } from './broken-guard.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import type { PricedPool } from './placement.ts';
import type { Workload } from './replica.ts';
import type { SpotStore } from './spot-store.port.ts';
import type { WishWriter } from './wish-writer.service.ts';
import { hourlyFor, sumOf } from './workload-cost.ts';

export interface RestorationDeps {
  readonly database: Database;
  readonly store: DeploymentStore;
  readonly spot: Pick<SpotStore, 'gaveWay'>;
  readonly writer: Pick<WishWriter, 'checkQuotas' | 'claim' | 'pools'>;
  readonly decisions: Pick<DecisionsService, 'record'>;
  readonly clock: Clock;
}

const SCOPE: Scope = { kind: 'reconciler', loop: 'spot' };
const PRINCIPAL = 'reconciler:spot';

/** Gives replicas back that gave way, as soon as quotas have room: those of the highest priority first, the oldest of those. */
export class Restoration {
  readonly #deps: RestorationDeps;

  constructor(deps: RestorationDeps) {
    this.#deps = deps;
  }

  async pass(lease: Lease | null, signal: AbortSignal): Promise<void> {
    if (!lease) return;
    const { database, spot, store } = this.#deps;
    const found = await database.read(SCOPE, async (tx) => store.deploymentsByIds(tx, await spot.gaveWay(tx)));
    const rank = ({ spec }: Deployment): number => DEPLOYMENT_PRIORITIES.indexOf(priorityOf(spec));
    for (const { id, teamId } of [...found].sort((a, b) => rank(a) - rank(b) || a.createdAt - b.createdAt)) {
      signal.throwIfAborted();
      await fencedWrite(database, { scope: SCOPE, lease }, (tx) => this.#restore(tx, { id, teamId }));
    }
  }

  async #restore(tx: Transaction, { id, teamId }: Pick<Deployment, 'id' | 'teamId'>): Promise<void> {
    const { store, writer } = this.#deps;
    await store.lockTeam(tx, teamId);
    const before = await store.lockDeployment(tx, id);
    const [rollout] = await store.rollouts(tx, [id]);
    if (!before || before.deletedAt !== null || (rollout && rollout.endedAt === null)) return;
    const live = (await store.workloads(tx, [id])).filter(({ removedAt }) => removedAt === null);
    const pools = await writer.pools(tx, before);
    const missing = live.flatMap((workload) => missingOf(workload, pools));
    const next = await this.#fitting(tx, before, { live, missing, pools });
    if (next) await this.#write(tx, before, { live, next, pools });
  }

  /** As many as are wished for if quotas, sources of machines and the wish's own limits, at the prices of now, have room for them, else one more, else none. */
  async #fitting(
    tx: Transaction,
    { teamId, projectId, id, spec }: Deployment,
    {
      live,
      missing,
      pools,
    }: { readonly live: readonly Workload[]; readonly missing: readonly Id[]; readonly pools: readonly PricedPool[] },
  ): Promise<Workload[] | null> {
    const { writer, clock } = this.#deps;
    for (const some of [missing, missing.slice(0, 1)]) {
      if (some.length === 0) return null;
      const next = live.map((workload) => withMore(workload, some.filter((one) => one === workload.id).length));
      const wanted = { replicas: countOf(next), hourly: hourlyOf(next, pools) };
      if (brokenGuard(spec, wanted)) continue;
      if (await writer.checkQuotas(tx, { teamId, projectId, deploymentId: id }, wanted)) continue;
      const cause = { at: clock.now(), principal: PRINCIPAL };
      if (!(await writer.claim(tx, { before: live, after: next }, cause))) return next;
    }
    return null;
  }

  async #write(
    tx: Transaction,
    before: Deployment,
    {
      live,
      next,
      pools,
    }: { readonly live: readonly Workload[]; readonly next: readonly Workload[]; readonly pools: readonly PricedPool[] },
  ): Promise<void> {
    const { store, decisions, clock } = this.#deps;
    const at = clock.now();
    const after = { ...before, version: before.version + 1, updatedAt: at };
    invariant(await store.updateDeployment(tx, after, before.version), 'a locked deployment keeps its version');
    for (const workload of next) if (!live.includes(workload)) await store.saveWorkload(tx, workload);
    const [from, to] = [countOf(live), countOf(next)];
    const reason = `There is room again: ${deploymentPath(after)} goes from ${from} to ${to} of ${after.spec.replicas} replicas.`;
    record(tx, replicasGaveWay({ deployment: after, from, to, reason, at, principal: PRINCIPAL }));
    await decisions.record(tx, {
      ...{ teamId: after.teamId, projectId: after.projectId, deploymentId: after.id, kind: 'preempt' },
      ...{ subjectKind: 'Deployment', subjectId: after.id, at, principal: PRINCIPAL, candidates: [], rejected: {} },
      ...{ inputs: { wished: after.spec.replicas, from }, chosen: { replicas: to }, reasons: [reason] },
      expectedHourly: hourlyOf(next, pools),
    });
  }
}

/** Its id once for each replica that the wish has there and it does not. */
function missingOf({ id, poolId, replicas }: Workload, pools: readonly PricedPool[]): Id[] {
  const wished = pools.find(({ pool }) => pool.id === poolId)?.replicas ?? 0;
  return Array<Id>(Math.max(0, wished - replicas)).fill(id);
}

const withMore = (workload: Workload, more: number): Workload =>
  more === 0 ? workload : { ...workload, replicas: workload.replicas + more, generation: workload.generation + 1 };

const countOf = (workloads: readonly Workload[]): number => workloads.reduce((all, { replicas }) => all + replicas, 0);

/** Null = the price of a workload that has replicas is not known: nothing is given back by it. */
const hourlyOf = (workloads: readonly Workload[], pools: readonly PricedPool[]): PicoUsdPerHour | null =>
  sumOf(
    workloads.map(({ poolId, replicas, perMachine = 1 }) => {
      const price = pools.find(({ pool }) => pool.id === poolId)?.price ?? null;
      return hourlyFor({ price, perMachine }, replicas);
    }),
  );
