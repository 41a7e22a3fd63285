import type { DecisionsService } from '../decisions/decisions.service.ts';
import { record } from '../events/event-log.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Id } from '../kernel/id.ts';
import { invariant } from '../kernel/invariant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { ClusterStore } from '../fleet/cluster-store.port.ts';
import { isLost, isUnreachable } from '../fleet/cluster.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import { replicasGaveWay } from './deployment.events.ts';
import { deploymentPath, priorityOf, type Deployment, type DeploymentPriority } from './deployment.ts';
import type { DeploymentStore } from './deployment-store.port.ts';
import { planPreemption, type GivenWay, type Holder, type Shortage } from './plan-preemption.ts';
import type { Workload } from './replica.ts';
import { hourlyOfWorkloads, priceOf, type MachineRates } from './workload-cost.ts';

export interface PreemptionDeps {
  readonly store: DeploymentStore;
  readonly clusters: Pick<ClusterStore, 'present'>;
  readonly prices: Pick<PricesService, 'ratesAt'>;
  readonly decisions: Pick<DecisionsService, 'record'>;
  readonly clock: Clock;
}

/** For whom others give way. */
export interface Claimant {
  readonly teamId: Id;
  readonly deploymentId: Id | null;
  readonly name: string;
  readonly priority: DeploymentPriority;
  readonly principal: string;
}

/** Takes replicas of lower priority away where a quota is short; what they wish for stays, and they get it back once there is room. */
export class Preemption {
  readonly #deps: PreemptionDeps;

  constructor(deps: PreemptionDeps) {
    this.#deps = deps;
  }

  /** True if there is room now. In the caller's transaction, with the team locked. */
  async giveWay(tx: Transaction, shortages: readonly Shortage[], claimant: Claimant): Promise<boolean> {
    if (claimant.priority === 'low') return false;
    const { store, clusters, prices, clock } = this.#deps;
    const live = (await store.liveDeployments(tx)).filter(
      ({ id, teamId }) => teamId === claimant.teamId && id !== claimant.deploymentId,
    );
    const ids = live.map(({ id }) => id);
    const workloads = (await store.workloads(tx, ids)).filter(({ removedAt }) => removedAt === null);
    const rates = await prices.ratesAt(
      tx,
      workloads.map(({ offeringId }) => offeringId),
      clock.now(),
    );
    // What runs where nobody sees it frees nothing now, and is not what a revision goes on serving with.
    const seen = new Set((await clusters.present(tx)).filter((one) => !isLost(one) && !isUnreachable(one)).map(({ id }) => id));
    const holders = live.map((deployment): Holder => {
      const own = workloads.filter((one) => one.deploymentId === deployment.id && seen.has(one.clusterId));
      const { id: deploymentId, projectId, createdAt, spec } = deployment;
      const held = own.map((one) => ({ ...one, ...priceOf(one, rates) }));
      return { deploymentId, projectId, createdAt, priority: priorityOf(spec), workloads: held };
    });
    const given = planPreemption(shortages, holders, claimant.priority);
    if (!given) return false;
    for (const one of given) await this.#take(tx, one, { claimant, workloads, rates });
    return true;
  }

  async #take(
    tx: Transaction,
    { deploymentId, workloads: changes }: GivenWay,
    facts: {
      readonly claimant: Claimant;
      readonly workloads: readonly Workload[];
      readonly rates: MachineRates;
    },
  ): Promise<void> {
    const { store, clock } = this.#deps;
    const before = await store.lockDeployment(tx, deploymentId);
    invariant(before, 'a live deployment of a locked team stays');
    const after = { ...before, version: before.version + 1, updatedAt: clock.now() };
    invariant(await store.updateDeployment(tx, after, before.version), 'a locked deployment keeps its version');
    const left = facts.workloads.filter((workload) => workload.deploymentId === deploymentId);
    const next = left.map((workload) => {
      const to = changes.find(({ id }) => id === workload.id)?.to;
      return to === undefined ? workload : { ...workload, replicas: to, generation: workload.generation + 1 };
    });
    for (const workload of next) if (!left.includes(workload)) await store.saveWorkload(tx, workload);
    await this.#record(tx, after, { ...facts, from: countOf(left), next });
  }

  async #record(
    tx: Transaction,
    deployment: Deployment,
    {
      claimant,
      from,
      next,
      rates,
    }: {
      readonly claimant: Claimant;
      readonly from: number;
      readonly next: readonly Workload[];
      readonly rates: MachineRates;
    },
  ): Promise<void> {
    const { principal } = claimant;
    const { teamId, projectId, id, updatedAt: at, spec } = deployment;
    const to = countOf(next);
    const reason = `${from - to} of ${from} replicas of ${deploymentPath(deployment)} (${priorityOf(spec)}) gave way to ${claimant.name} (${claimant.priority}): a quota is short.`;
    record(tx, replicasGaveWay({ deployment, from, to, reason, at, principal }));
    await this.#deps.decisions.record(tx, {
      ...{ teamId, projectId, deploymentId: id, kind: 'preempt', subjectKind: 'Deployment', subjectId: id, at, principal },
      ...{
        candidates: [],
        rejected: {},
        inputs: { wished: spec.replicas, from, priority: priorityOf(spec), for: claimant.name },
      },
      ...{ chosen: { replicas: to }, reasons: [reason] },
      expectedHourly: hourlyOfWorkloads(next, rates),
    });
  }
}

const countOf = (workloads: readonly Workload[]): number => workloads.reduce((all, { replicas }) => all + replicas, 0);
