import {
  CloudUnknown,
  type CloudPool,
  type CloudPoolState,
  type MachineProvider,
  type CloudResult,
} from '../clouds/cloud-provider.port.ts';
import type { DecisionsService } from '../decisions/decisions.service.ts';
import { record } from '../events/event-log.ts';
import type { Clock } from '../kernel/clock.ts';
import { withCondition, type Condition } from '../kernel/condition.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import { LeaseLost, type Lease } from '../persistence/lease.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { NodeActions } from './cluster-inventory.port.ts';
import type { Cluster, Pool } from './cluster.ts';
import { poolGivenBack, poolScaled, poolStalled } from './node.events.ts';
import type { NodeStore } from './node-store.port.ts';
import type { PoolScaling } from './node.ts';
import { poolDecision } from './pool-decision.ts';
import type { PlannedStep, PoolPlan, PoolStep } from './plan-pools.ts';

export interface PoolScalerDeps {
  readonly database: Database;
  readonly store: Pick<NodeStore, 'lockScaling' | 'saveScalingStatus' | 'dropScaling'>;
  readonly decisions: Pick<DecisionsService, 'record'>;
  readonly actions: NodeActions;
  readonly providers: ReadonlyMap<string, MachineProvider>;
  readonly installation: string;
  readonly principal: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A pool with whom to ask for its machines. */
export interface PoolAt {
  readonly cluster: Cluster;
  readonly pool: Pool;
  readonly scaling: PoolScaling;
  /** What a node of it costs by the price book; null = nobody knows. */
  readonly rate: PicoUsdPerHour | null;
}

type ScaleStep = Extract<PoolStep, { kind: 'scale' }>;

const SCOPE: Scope = { kind: 'reconciler', loop: 'nodes' };
/** A refusal without a time of its own is asked again after this. Higher: a mended quota is noticed late; lower: a provider is asked in vain. */
const REFUSED_MS = 300_000;
const GROWING = 'Growing';

/** Carries out what was planned for pools: asks providers, marks nodes, writes down what came of it. */
export class PoolScaler {
  readonly #deps: PoolScalerDeps;
  readonly #refusedUntil = new Map<Id, Instant>();
  /** Which description of a pool its provider has been told. */
  readonly #described = new Map<Id, string>();

  constructor(deps: PoolScalerDeps) {
    this.#deps = deps;
  }

  /** By pool: until when its provider is not asked for more. */
  get refusedUntil(): ReadonlyMap<Id, Instant> {
    return this.#refusedUntil;
  }

  /** Null = unknown: there is no such provider here, or it does not answer. */
  async observe({ cluster, pool, scaling }: Omit<PoolAt, 'rate'>): Promise<CloudPoolState | null> {
    const provider = this.#deps.providers.get(scaling.provider);
    if (!provider) return null;
    try {
      return (await provider.observeNodes(this.#keyOf(cluster, pool))) ?? { desired: 0, nodes: [] };
    } catch (error) {
      if (!(error instanceof CloudUnknown)) throw error;
      this.#deps.logger.warn({ pool: pool.name, err: error }, 'the provider of a pool does not answer');
      return null;
    }
  }

  /** True if something may have changed at the provider. */
  async execute(at: PoolAt, plan: PoolPlan, lease: Lease): Promise<boolean> {
    await this.#tell(at, plan.stalled, lease);
    let acted = false;
    for (const { step, reason } of plan.steps) {
      this.#deps.logger.info({ pool: at.pool.name, step, reason }, 'a pool takes a step');
      acted ||= step.kind === 'scale' || step.kind === 'delete';
      if (step.kind === 'scale') await this.#scale(at, { step, reason }, lease);
      else if (step.kind === 'delete') await this.#delete(at, lease);
      else await this.#deps.actions[step.kind](step.node, { epoch: lease.epoch });
    }
    return acted;
  }

  async #scale(at: PoolAt, { step, reason }: PlannedStep & { readonly step: ScaleStep }, lease: Lease): Promise<void> {
    const { clock, principal, logger, decisions } = this.#deps;
    const { pool } = at;
    const now = clock.now();
    await this.#fenced(at, lease, async (tx, scaling) => {
      const change = { pool, from: step.from, to: step.to, reasons: [reason], at: now, principal };
      record(tx, poolScaled(change));
      await decisions.record(tx, poolDecision({ ...at, ...step, reason, at: now, principal }));
      return { ...scaling, desiredNodes: step.to, scaledAt: now };
    });
    try {
      this.#heed(at, await this.#ask(at, step, lease));
    } catch (error) {
      if (!(error instanceof CloudUnknown)) throw error;
      logger.warn({ pool: pool.name, err: error }, 'whether a pool was scaled is unknown; it is looked at again');
      return;
    }
    const refusal = this.#refusals.get(pool.id) ?? null;
    await this.#tell(at, refusal, lease);
  }

  /** Gives up a pool that has no machines left; a repeat after a lost answer is the same. */
  async #delete(at: PoolAt, lease: Lease): Promise<void> {
    const { providers, logger, clock, principal, store } = this.#deps;
    const { cluster, pool, scaling } = at;
    try {
      const provider = providers.get(scaling.provider);
      if (!provider) throw new CloudUnknown(`there is no provider ${scaling.provider} here`);
      const result = await provider.deletePool(this.#keyOf(cluster, pool), { epoch: lease.epoch });
      this.#heed(at, result);
      if (result.outcome !== 'accepted') {
        await this.#tell(at, this.#refusals.get(pool.id) ?? null, lease);
        return;
      }
    } catch (error) {
      if (!(error instanceof CloudUnknown)) throw error;
      logger.warn({ pool: pool.name, err: error }, 'whether a pool was given back is unknown; it is asked again');
      return;
    }
    this.#described.delete(pool.id);
    await this.#fenced(at, lease, async (tx) => {
      record(tx, poolGivenBack(pool, { at: clock.now(), principal }));
      await store.dropScaling(tx, pool.id);
      return null;
    });
  }

  readonly #refusals = new Map<Id, { readonly reason: string; readonly message: string }>();

  async #ask({ cluster, pool, scaling }: PoolAt, step: ScaleStep, { epoch }: Lease): Promise<CloudResult> {
    const provider = this.#deps.providers.get(scaling.provider);
    if (!provider) throw new CloudUnknown(`there is no provider ${scaling.provider} here`);
    const description = this.#describe(cluster, pool, scaling);
    const text = JSON.stringify(description);
    if (this.#described.get(pool.id) !== text || step.from === 0) {
      const ensured = await provider.ensurePool(description, { epoch });
      if (ensured.outcome !== 'accepted') return ensured;
      this.#described.set(pool.id, text);
    }
    return provider.scalePool(description.key, { desired: step.to, release: step.release }, { epoch });
  }

  #heed({ pool }: PoolAt, result: CloudResult): void {
    if (result.outcome === 'stale_epoch') throw new LeaseLost(`the provider of pool ${pool.name} has seen a later leader`);
    if (result.outcome === 'accepted') {
      this.#refusedUntil.delete(pool.id);
      this.#refusals.delete(pool.id);
      return;
    }
    this.#refusedUntil.set(pool.id, this.#deps.clock.now() + (result.retryAfterMs ?? REFUSED_MS));
    this.#refusals.set(pool.id, { reason: result.reason, message: `its provider says: ${result.message}` });
  }

  /** Writes what keeps the pool from growing, where that is another thing than before. */
  async #tell(at: PoolAt, stalled: PoolPlan['stalled'], lease: Lease): Promise<void> {
    const { clock, principal } = this.#deps;
    const now = clock.now();
    const standing = stalled ?? this.#standing(at.pool.id, now);
    const next = conditionOf(standing, now);
    if (isSame(at.scaling.conditions, next)) return;
    await this.#fenced(at, lease, (tx, scaling) => {
      if (isSame(scaling.conditions, next)) return null;
      if (standing) record(tx, poolStalled({ pool: at.pool, ...standing, at: now, principal }));
      return { ...scaling, conditions: withCondition(scaling.conditions, next) };
    });
  }

  /** A provider's refusal stands until it is worth asking again. */
  #standing(poolId: Id, now: Instant): PoolPlan['stalled'] {
    const until = this.#refusedUntil.get(poolId) ?? 0;
    return now < until ? (this.#refusals.get(poolId) ?? null) : null;
  }

  /** Nothing if it does not scale any more. */
  #fenced(
    at: PoolAt,
    lease: Lease,
    change: (tx: Transaction, scaling: PoolScaling) => PoolScaling | null | Promise<PoolScaling | null>,
  ): Promise<void> {
    return fencedWrite(this.#deps.database, { scope: SCOPE, lease }, async (tx) => {
      const scaling = await this.#deps.store.lockScaling(tx, at.pool.id);
      const next = scaling && (await change(tx, scaling));
      if (next) await this.#deps.store.saveScalingStatus(tx, next);
    });
  }

  #keyOf(cluster: Cluster, pool: Pool): string {
    return `${this.#deps.installation}/${cluster.name}/${pool.name}`;
  }

  #describe(cluster: Cluster, pool: Pool, { config }: PoolScaling): CloudPool {
    return {
      key: this.#keyOf(cluster, pool),
      ...{ region: config['region'] ?? null, zone: config['zone'] ?? null, instanceType: config['instanceType'] ?? null },
      capacityType: pool.capacityType,
      labels: { ...pool.nodeSelector, 'purser.dev/pool': pool.name, 'purser.dev/capacity-type': pool.capacityType },
      config,
    };
  }
}

const conditionOf = (stalled: PoolPlan['stalled'], now: Instant): Condition => ({
  type: GROWING,
  status: stalled ? 'False' : 'True',
  reason: stalled?.reason ?? 'AsNeeded',
  message: stalled?.message ?? '',
  lastTransitionTime: now,
});

/** A pool that never stalled has no condition. */
function isSame(conditions: readonly Condition[], next: Condition): boolean {
  const before = conditions.find(({ type }) => type === GROWING);
  if (!before) return next.status === 'True';
  return before.status === next.status && before.reason === next.reason && before.message === next.message;
}
