import {
  CloudUnknown,
  type CloudPool,
  type CloudPoolState,
  type MachineProvider,
  type CloudResult,
} from '../clouds/cloud-provider.port.ts';
import type { Offering } from '../clouds/offering.ts';
import { poolKeyOf } from '../clouds/pool-key.ts';
import type { DecisionsService } from '../decisions/decisions.service.ts';
import { record } from '../events/event-log.ts';
import type { Clock } from '../kernel/clock.ts';
import { withCondition, type Condition } from '../kernel/condition.ts';
import { newId, type Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Random } from '../kernel/random.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import { LeaseLost, type Lease } from '../persistence/lease.ts';
import type { Logger } from '../telemetry/logger.ts';
import type { NodeActions } from './cluster-inventory.port.ts';
import { capacityKeyOf, inWords, isCapacityRefusal, learnRefusal, stalledBy, type CapacityAnswer } from './capacity-answer.ts';
import type { CapacityStore } from './capacity-store.port.ts';
import type { Cluster, Pool } from './cluster.ts';
import { growthHeld, poolConsolidated, poolGivenBack, poolScaled, poolStalled } from './node.events.ts';
import type { NodeStore } from './node-store.port.ts';
import type { PoolScaling } from './node.ts';
import { consolidationDecision, poolDecision } from './pool-decision.ts';
import type { Consolidation, PlannedStep, PoolPlan, PoolStep } from './plan-pools.ts';
import { SourceLimits, type SourceLimitsDeps } from './source-limits.service.ts';
import { checkVelocity, type VelocityLimits, type VelocityVerdict } from './velocity-breaker.ts';

export interface PoolScalerDeps {
  readonly database: Database;
  readonly store: Pick<NodeStore, 'scalings' | 'lockScaling' | 'saveScalingStatus' | 'dropScaling'>;
  readonly clusters: SourceLimitsDeps['clusters'];
  readonly capacity: CapacityStore;
  readonly decisions: Pick<DecisionsService, 'record'>;
  readonly actions: NodeActions;
  readonly providers: ReadonlyMap<string, MachineProvider>;
  /** Whose pools they are: keeps them apart from those of others who rent in the same account. */
  readonly installation: string;
  readonly principal: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** How fast pools may grow before a person is asked. */
  readonly velocity: VelocityLimits;
}

/** A pool with whom to ask for its machines. */
export interface PoolAt {
  readonly cluster: Cluster;
  readonly pool: Pool;
  readonly scaling: PoolScaling;
  /** What a node of it costs by the price book; null = nobody knows. */
  readonly rate: PicoUsdPerHour | null;
  /** What it is sold as; null = nobody knows. */
  readonly offering: Offering | null;
  /** What its provider last refused of this kind of capacity; null = nothing. */
  readonly answer: CapacityAnswer | null;
}

type ScaleStep = Extract<PoolStep, { kind: 'scale' }>;

const SCOPE: Scope = { kind: 'reconciler', loop: 'nodes' };
/** A refusal without a time of its own is asked again after this. Higher: a mended quota is noticed late; lower: a provider is asked in vain. */
const REFUSED_MS = 300_000;
const GROWING = 'Growing';
const OUT_OF_REACH = 'OUT_OF_REACH';
const SOURCE_FULL = { reason: 'SOURCE_MAXIMUM', message: 'other pools have the machines that its source may rent.' };

/** Carries out what was planned for pools: asks providers, marks nodes, writes down what came of it. */
export class PoolScaler {
  readonly #deps: PoolScalerDeps;
  readonly #sources: SourceLimits;
  readonly #refusedUntil = new Map<Id, Instant>();
  /** Which description of a pool its provider has been told. */
  readonly #described = new Map<Id, string>();

  constructor(deps: PoolScalerDeps) {
    this.#deps = deps;
    this.#sources = new SourceLimits(deps);
  }

  /** By pool: until when its provider is not asked for more, because of what the pool itself is. */
  get refusedUntil(): ReadonlyMap<Id, Instant> {
    return this.#refusedUntil;
  }

  /** Null = unknown: there is no such provider here, or it does not answer. */
  async observe({ cluster, pool, scaling }: Pick<PoolAt, 'cluster' | 'pool' | 'scaling'>): Promise<CloudPoolState | null> {
    const provider = this.#deps.providers.get(scaling.provider);
    if (!provider || this.#outOfReach({ cluster, pool, scaling }) !== null) return null;
    try {
      return (await provider.observeNodes(this.#keyOf({ cluster, pool, scaling }))) ?? { desired: 0, nodes: [] };
    } catch (error) {
      if (!(error instanceof CloudUnknown)) throw error;
      this.#deps.logger.warn({ pool: pool.name, err: error }, 'the provider of a pool does not answer');
      return null;
    }
  }

  /** Why nobody can be asked for its machines, which may run all the while; null = somebody can. */
  #outOfReach({ cluster, pool, scaling }: Pick<PoolAt, 'cluster' | 'pool' | 'scaling'>): PoolPlan['stalled'] {
    // Nobody was ever asked for one.
    if (scaling.scaledAt === null) return null;
    const provider = this.#deps.providers.get(scaling.provider);
    const why = provider
      ? provider.outOfReach(this.#describe({ cluster, pool, scaling }))
      : `PURSER_CLOUDS_FILE names no ${scaling.provider}`;
    if (why === null) return null;
    return {
      reason: OUT_OF_REACH,
      message: `its machines may run and cannot be asked for: ${why}. Mend those settings, or the pool's own`,
    };
  }

  /** True if something may have changed at the provider. */
  async execute(at: PoolAt, plan: PoolPlan, lease: Lease): Promise<boolean> {
    const unreached = this.#outOfReach(at);
    // It stays as it is, with all that it may have, until it can be asked for.
    const steps = unreached ? plan.steps.filter(({ step }) => !isAsking(step)) : plan.steps;
    // What keeps one from growing that asks for more is known once it is answered.
    if (!steps.some(isGrowth)) await this.#tell(at, unreached ?? plan.stalled, lease);
    for (const planned of steps) {
      this.#deps.logger.info({ pool: at.pool.name, ...planned }, 'a pool takes a step');
      await this.#take(at, planned, lease);
    }
    return steps.some(({ step }) => isAsking(step));
  }

  async #take(at: PoolAt, { step, reason }: PlannedStep, lease: Lease): Promise<void> {
    if (step.kind === 'scale') await this.#scale(at, { step, reason }, lease);
    else if (step.kind === 'delete') await this.#delete(at, lease);
    else if (step.kind === 'empty') await this.#empty(at, { consolidation: step.consolidation, reason }, lease);
    else if (step.kind === 'emptied') await this.#fenced(at, lease, (_tx, scaling) => ({ ...scaling, emptying: null }));
    else await this.#deps.actions[step.kind](step.node, { epoch: lease.epoch });
  }

  /** Rows first: what a crash leaves undone is carried on by the next pass. */
  async #empty(
    at: PoolAt,
    { consolidation, reason }: { readonly consolidation: Consolidation; readonly reason: string },
    lease: Lease,
  ): Promise<void> {
    const { clock, principal, decisions, actions } = this.#deps;
    const { node } = consolidation;
    const now = clock.now();
    await this.#fenced(at, lease, async (tx, scaling) => {
      record(tx, poolConsolidated({ pool: at.pool, node: node.name, reason, at: now, principal }));
      await decisions.record(tx, consolidationDecision({ ...at, consolidation, reason, at: now, principal }));
      return { ...scaling, emptying: node.uid, emptiedAt: now };
    });
    await actions.cordon(node, { epoch: lease.epoch });
  }

  async #scale(at: PoolAt, planned: PlannedStep & { readonly step: ScaleStep }, lease: Lease): Promise<void> {
    const at0 = this.#deps.clock.now();
    const step = await this.#grant(at, planned, { lease, now: at0 });
    if (step === 'full') return this.#tell(at, SOURCE_FULL, lease);
    if (!step) return;
    let result: CloudResult;
    try {
      result = await this.#ask(at, step, lease);
    } catch (error) {
      if (!(error instanceof CloudUnknown)) throw error;
      this.#deps.logger.warn({ pool: at.pool.name, err: error }, 'whether a pool was scaled is unknown; it is looked at again');
      return;
    }
    this.#heed(at, result);
    const answer = step.to > step.from ? await this.#learn(at, result, { lease, askedAt: at0 }) : at.answer;
    await this.#tell(at, stalledBy(answer, this.#deps.clock.now()), lease);
  }

  /** Writes down what is asked for, before it is: no more than its source and the velocity breaker let through; null = nothing. */
  async #grant(
    at: PoolAt,
    { step, reason }: PlannedStep & { readonly step: ScaleStep },
    { lease, now }: { readonly lease: Lease; readonly now: Instant },
  ): Promise<ScaleStep | 'full' | null> {
    const { principal, decisions, database, store } = this.#deps;
    const { pool } = at;
    let granted: ScaleStep | 'full' | null = null;
    await fencedWrite(database, { scope: SCOPE, lease }, async (tx) => {
      const isGrowing = step.to > step.from;
      const most = isGrowing ? await this.#sources.mostOf(tx, at) : step.to;
      const scaling = await store.lockScaling(tx, pool.id);
      if (!scaling) return;
      const wanted = isGrowing ? Math.max(step.from, Math.min(step.to, most, scaling.maxNodes)) : step.to;
      if (isGrowing && wanted === step.from) granted = 'full';
      const to = wanted > step.from ? step.from + (await this.#brake(tx, at, { step: { ...step, to: wanted }, now })) : wanted;
      if (to === step.from && step.to !== step.from) return;
      const next = { ...step, to };
      granted = next;
      record(tx, poolScaled({ pool, from: step.from, to, reasons: [reason], at: now, principal }));
      await decisions.record(tx, poolDecision({ ...at, ...next, reason, at: now, principal }));
      await store.saveScalingStatus(tx, { ...scaling, desiredNodes: to, scaledAt: now });
    });
    return granted;
  }

  /** How many nodes may be added; what is beyond that is held until a person lets it go on. */
  async #brake(
    tx: Transaction,
    { pool, rate }: PoolAt,
    { step, now }: { readonly step: ScaleStep; readonly now: Instant },
  ): Promise<number> {
    const { capacity, velocity } = this.#deps;
    const costOf = (nodes: number): PicoUsdPerHour | null => (rate === null ? null : rate * BigInt(nodes));
    const nodes = step.to - step.from;
    const wanted = { poolId: pool.id, nodes, hourly: costOf(nodes) };
    const verdict = checkVelocity(wanted, await capacity.lockVelocity(tx, now - velocity.windowMs), velocity, now);
    if (verdict.trip) await this.#hold(tx, pool, { trip: verdict.trip, now });
    const { allowed } = verdict;
    if (allowed > 0) await capacity.addGrowth(tx, { poolId: pool.id, at: now, nodes: allowed, hourly: costOf(allowed) });
    return allowed;
  }

  async #hold(
    tx: Transaction,
    pool: Pool,
    { trip, now }: { readonly trip: NonNullable<VelocityVerdict['trip']>; readonly now: Instant },
  ): Promise<void> {
    const { capacity, random, principal, logger } = this.#deps;
    logger.warn({ pool: pool.name, why: trip.message }, 'growth is held until a person lets it go on');
    await capacity.hold(tx, { ...trip, id: newId(now, random), heldAt: now, releasedAt: null });
    record(tx, growthHeld({ pool, ...trip, at: now, principal }));
  }

  /** What an answer teaches every pool of this kind of capacity, whoever asks next. */
  async #learn(
    at: PoolAt,
    result: CloudResult,
    { lease, askedAt }: { readonly lease: Lease; readonly askedAt: Instant },
  ): Promise<CapacityAnswer | null> {
    const { capacity, clock, database } = this.#deps;
    const write = (body: (tx: Transaction) => Promise<void>) => fencedWrite(database, { scope: SCOPE, lease }, body);
    if (result.outcome === 'accepted') {
      const { answer } = at;
      if (answer) await write((tx) => capacity.clearAnswer(tx, answer.key));
      return null;
    }
    if (result.outcome !== 'refused') return at.answer;
    const { reason } = result;
    const key = capacityKeyOf(at.pool, at.scaling, at.offering);
    const learned = isCapacityRefusal(reason) ? learnRefusal(at.answer, { ...result, key, reason }, clock.now()) : null;
    await write(async (tx) => {
      await capacity.refuseGrowth(tx, { poolId: at.pool.id, at: askedAt });
      if (learned) await capacity.saveAnswer(tx, learned);
    });
    return learned ?? at.answer;
  }

  /** Gives up a pool that has no machines left; a repeat after a lost answer is the same. */
  async #delete(at: PoolAt, lease: Lease): Promise<void> {
    const { providers, logger, clock, principal, store } = this.#deps;
    const { pool, scaling } = at;
    try {
      const provider = providers.get(scaling.provider);
      if (!provider) throw new CloudUnknown(`there is no provider ${scaling.provider} here`);
      const result = await provider.deletePool(this.#keyOf(at), { epoch: lease.epoch });
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
    const description = this.#describe({ cluster, pool, scaling });
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
    // What concerns more than this pool is kept for all of them.
    if (isCapacityRefusal(result.reason)) return;
    this.#refusedUntil.set(pool.id, this.#deps.clock.now() + (result.retryAfterMs ?? REFUSED_MS));
    this.#refusals.set(pool.id, inWords(result));
  }

  /** Writes what keeps the pool from growing, where that is another thing than before. */
  async #tell(at: PoolAt, stalled: PoolPlan['stalled'], lease: Lease): Promise<void> {
    const { clock, principal } = this.#deps;
    const now = clock.now();
    const standing = stalled ?? this.#standing(at, now);
    const next = conditionOf(standing, now);
    if (isSame(at.scaling.conditions, next)) return;
    await this.#fenced(at, lease, (tx, scaling) => {
      if (isSame(scaling.conditions, next)) return null;
      if (standing) record(tx, poolStalled({ pool: at.pool, ...standing, at: now, principal }));
      return { ...scaling, conditions: withCondition(scaling.conditions, next) };
    });
  }

  /** A provider's refusal of the pool itself stands until it is worth asking again. */
  #standing({ pool }: PoolAt, now: Instant): PoolPlan['stalled'] {
    const until = this.#refusedUntil.get(pool.id) ?? 0;
    return now < until ? (this.#refusals.get(pool.id) ?? null) : null;
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

  #keyOf({ cluster, pool, scaling }: Pick<PoolAt, 'cluster' | 'pool' | 'scaling'>): string {
    return poolKeyOf(scaling.keyPrefix ?? this.#deps.installation, cluster.name, pool.name);
  }

  #describe(at: Pick<PoolAt, 'cluster' | 'pool' | 'scaling'>): CloudPool {
    const { pool, scaling } = at;
    const { config } = scaling;
    return {
      key: this.#keyOf(at),
      ...{ region: config['region'] ?? null, zone: config['zone'] ?? null, instanceType: config['instanceType'] ?? null },
      capacityType: pool.capacityType,
      labels: { ...pool.nodeSelector, 'purser.dev/pool': pool.name, 'purser.dev/capacity-type': pool.capacityType },
      config,
    };
  }
}

/** The provider is told of it. */
const isAsking = ({ kind }: PoolStep): boolean => kind === 'scale' || kind === 'delete';

const isGrowth = ({ step }: PlannedStep): boolean => step.kind === 'scale' && step.to > step.from;

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
