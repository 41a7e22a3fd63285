import { CloudUnknown, type CloudInterruption, type MachineProvider } from '../clouds/cloud-provider.port.ts';
import type { Offering } from '../clouds/offering.ts';
import { record } from '../events/event-log.ts';
import type { DecisionsService } from '../decisions/decisions.service.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Random } from '../kernel/random.ts';
import type { Scope, Transaction } from '../kernel/transaction.ts';
import type { Database } from '../persistence/database.ts';
import { fencedWrite } from '../persistence/fenced-write.ts';
import { LeaseLost, type Lease } from '../persistence/lease.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import { WORTH_IT, type RateStep } from '../pricing/worth-it.ts';
import type { Reconciliation } from '../reconcile/loop.ts';
import { PatientQuestions } from '../reconcile/patient-questions.ts';
import type { Logger } from '../telemetry/logger.ts';
import {
  InventoryUnreachable,
  StaleNodeFence,
  type ClusterInventory,
  type InventoryObservation,
  type NodeActions,
} from './cluster-inventory.port.ts';
import { capacityKeyOf, isSameCapacity, type CapacityAnswer } from './capacity-answer.ts';
import type { CapacityStore } from './capacity-store.port.ts';
import type { Cluster, Pool } from './cluster.ts';
import type { ClusterStore } from './cluster-store.port.ts';
import { offeringsOf } from './node-offering.ts';
import { nodeChanged } from './node.events.ts';
import type { NodeMeter } from './node-meter.port.ts';
import type { NodeStore } from './node-store.port.ts';
import { KARPENTER, type PoolScaling } from './node.ts';
import { planNodes, type NodesPlan, type NodesWorld } from './plan-nodes.ts';
import type { PoolPace, ScaledPool } from './plan-pools.ts';
import { PoolScaler, type PoolAt } from './pool-scaler.service.ts';
import type { VelocityLimits } from './velocity-breaker.ts';

export interface NodesReconcilerDeps {
  readonly database: Database;
  readonly store: NodeStore;
  readonly capacity: CapacityStore;
  readonly clusters: Pick<ClusterStore, 'clustersByIds' | 'pools' | 'rentedPools' | 'lockSources'>;
  readonly decisions: Pick<DecisionsService, 'record'>;
  readonly prices: Pick<PricesService, 'priced' | 'stepsOf'>;
  readonly inventory: ClusterInventory;
  readonly actions: NodeActions;
  /** By the name that pools give. */
  readonly providers: ReadonlyMap<string, MachineProvider>;
  /** Null = nobody shares out what nodes cost. */
  readonly meter: NodeMeter | null;
  readonly clusterId: Id;
  readonly installation: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly pace: PoolPace;
  readonly velocity: VelocityLimits;
  /** Default `ANSWER_MS`. */
  readonly answerMs?: number;
  /** The lease of this cluster's nodes; null while another instance leads. */
  readonly lease: () => Lease | null;
}

/** What a pass knows; null = this instance does not lead, or the cluster is gone. */
export type NodesInput = {
  readonly lease: Lease;
  readonly cluster: Cluster;
  readonly world: NodesWorld;
  /** What the offerings of nodes and pools cost. */
  readonly rates: ReadonlyMap<Id, PicoUsdPerHour>;
  /** By id, as far as the price book has them. */
  readonly sold: ReadonlyMap<Id, Offering>;
} | null;
export type NodesTurn = (NonNullable<NodesInput> & { readonly plan: NodesPlan }) | null;

const SCOPE: Scope = { kind: 'reconciler', loop: 'nodes' };
const PRINCIPAL = 'reconciler:nodes';
/** Providers are asked this often while nothing is done there. Higher: machines are noticed late; lower: a provider's limits are used up. */
const ASK_EVERY_MS = 5_000;
/** A provider that takes longer is unknown to this pass, and heard by the next. Higher: the notices of the others wait for it; lower: slow ones are heard late. */
const ANSWER_MS = 5_000;
/** An answer that nobody came for in this time is of another world. Higher: pools grow by what was long ago; lower: those of slow providers are never heard. */
const FORGOTTEN_MS = 120_000;

/** Past prices are read this often: they say what lasted for days. Higher: a new price counts late; lower: reads for nothing. */
const HISTORY_MS = 600_000;

type CloudSight = Pick<NodesWorld, 'clouds' | 'interruptions'>;

/** Sees the nodes of one cluster, moves pods off those that will leave, and makes pools grow and shrink: one step per pass. */
export class NodesReconciler implements Reconciliation<NodesInput, NodesTurn> {
  readonly #deps: NodesReconcilerDeps;
  readonly #scaler: PoolScaler;
  #questions: PatientQuestions;
  /** When providers were asked last, and under which lease. */
  #turn: { readonly at: Instant; readonly epoch: number } | null = null;
  /** Since when released pods have been without a successor. */
  #alone = new Map<Id, Instant>();
  #seenAt: Instant | null = null;
  #asked: { readonly at: Instant; readonly sight: CloudSight } | null = null;
  #history: { readonly key: string; readonly at: Instant; readonly steps: Map<Id, RateStep[]> } | null = null;
  /** What the meter was told last, under which epoch. */
  #metered = '';

  constructor(deps: NodesReconcilerDeps) {
    this.#deps = deps;
    this.#questions = new PatientQuestions(deps.answerMs ?? ANSWER_MS);
    this.#scaler = new PoolScaler({ ...deps, principal: PRINCIPAL });
  }

  async prepare(): Promise<NodesInput> {
    const { lease, database, clusters, store, capacity, clusterId, prices, clock } = this.#deps;
    const held = lease();
    if (!held) return null;
    const observation = await this.#observe();
    const seenAt = this.#seenAt;
    if (observation) this.#seenAt = observation.observedAt;
    const rows = await database.read(SCOPE, async (tx) => {
      const [cluster] = await clusters.clustersByIds(tx, [clusterId]);
      const leaving = (await clusters.rentedPools(tx, [clusterId])).filter(({ removedAt }) => removedAt !== null);
      const pools = [...(await clusters.pools(tx, [clusterId])), ...leaving];
      const ids = pools.map(({ id }) => id);
      const scalings = (await store.scalings(tx, ids)).filter(({ provider }) => provider !== KARPENTER);
      const wanted = [...(observation?.nodes ?? []).flatMap(offeringsOf), ...pools.flatMap(({ offeringId }) => offeringId ?? [])];
      const priced = await prices.priced(tx, [...new Set(wanted)], clock.now());
      const sold = new Map(priced.map(({ offering }) => [offering.id, offering]));
      const rates = new Map(priced.flatMap(({ offering, price }) => (price ? [[offering.id, price.effective] as const] : [])));
      const [told, holds] = scalings.length === 0 ? [[], []] : [await capacity.answers(tx), await capacity.openHolds(tx)];
      const answers = answersFor({ pools, scalings, sold }, told);
      const known = await store.presentNodes(tx, clusterId);
      const history = scalings.length === 0 ? new Map<Id, RateStep[]>() : await this.#historyOf(tx, pools);
      return { cluster, rates, sold, history, answers, pools, scalings, offerings: new Set(sold.keys()), holds, known };
    });
    const { cluster, rates, sold, ...world } = rows;
    if (!cluster) return null;
    const sight = observation ? await this.#askProviders(cluster, world, held) : NO_SIGHT;
    const since = observation && sinceRegistered(observation, cluster);
    const mine = { clusterId, observation: since, seenAt, alone: this.#alone, refusedUntil: this.#scaler.refusedUntil };
    return { lease: held, cluster, rates, sold, world: { ...world, ...sight, ...mine } };
  }

  /** What nodes of these pools have cost, as far back as anybody asks; read again after a while. */
  async #historyOf(tx: Transaction, pools: readonly Pool[]): Promise<Map<Id, RateStep[]>> {
    const { prices, clock } = this.#deps;
    const now = clock.now();
    const key = pools.map(({ id, offeringId }) => `${id} ${offeringId ?? ''}`).join(' ');
    if (this.#history?.key === key && now - this.#history.at < HISTORY_MS) return this.#history.steps;
    const offerings = [...new Set(pools.flatMap(({ offeringId }) => offeringId ?? []))];
    const sold = await prices.stepsOf(tx, offerings, now - WORTH_IT.lookbackMs, now);
    const steps = new Map(pools.map(({ id, offeringId }) => [id, [...(sold.get(offeringId ?? '') ?? [])]]));
    this.#history = { key, at: now, steps };
    return steps;
  }

  plan(input: NodesInput, now: Instant): NodesTurn {
    return input && { ...input, plan: planNodes(input.world, this.#deps.pace, now) };
  }

  /** Rows first, then effects: what a crash leaves undone is asked for by the next pass. */
  async execute(turn: NodesTurn, signal: AbortSignal): Promise<void> {
    if (!turn) return;
    await this.#write(turn);
    this.#remember(turn.plan);
    try {
      await this.#act(turn, signal);
    } catch (error) {
      if (error instanceof StaleNodeFence) throw new LeaseLost('another leader has acted on these nodes since', { cause: error });
      throw error;
    }
  }

  /** Asks kubelets what their pods used, and hands it on; without the lease, or without a sight of the cluster, nothing. */
  async measure(): Promise<void> {
    const { meter, lease, inventory, database, clock } = this.#deps;
    const held = lease();
    if (!held || !meter) return;
    const observation = await this.#observe();
    if (!observation) return;
    const at = clock.now();
    const usage = await inventory.usage(observation.nodes.filter(({ readiness }) => readiness === 'ready'));
    if (usage.every(({ pods }) => pods.length === 0)) return;
    await fencedWrite(database, { scope: SCOPE, lease: held }, (tx) => meter.sampled(tx, at, usage));
  }

  async #observe(): Promise<InventoryObservation | null> {
    try {
      return await this.#deps.inventory.observeNodes();
    } catch (error) {
      if (!(error instanceof InventoryUnreachable)) throw error;
      this.#deps.logger.warn({ cluster: this.#deps.clusterId, err: error }, 'the nodes cannot be seen');
      return null;
    }
  }

  async #askProviders(
    cluster: Cluster,
    { pools, scalings }: { readonly pools: readonly Pool[]; readonly scalings: readonly PoolScaling[] },
    { epoch }: Lease,
  ): Promise<CloudSight> {
    if (scalings.length === 0) return NO_SIGHT;
    const now = this.#deps.clock.now();
    this.#forgetOldQuestions(now, epoch);
    if (this.#asked && now - this.#asked.at < ASK_EVERY_MS) return this.#asked.sight;
    const clouds = new Map<Id, ScaledPool['cloud']>();
    // At once: a provider that is slow holds up its own pools only.
    const asked = scalings.map(async (scaling) => {
      const pool = pools.find(({ id }) => id === scaling.poolId);
      if (!pool) return;
      const observed = await this.#questions.ask(pool.id, () => this.#scaler.observe({ cluster, pool, scaling }));
      clouds.set(pool.id, observed);
    });
    const names = [...new Set(scalings.map(({ provider }) => provider))];
    const told = names.map((name) => this.#questions.ask(`notices of ${name}`, () => this.#interruptionsOf(name)));
    const [notices] = await Promise.all([Promise.all(told), Promise.all(asked)]);
    const interruptions = notices.flatMap((one) => one ?? []);
    const sight = { clouds, interruptions };
    this.#asked = { at: now, sight };
    return sight;
  }

  /** What was asked before somebody else led, or while the cluster could not be seen, is asked anew. */
  #forgetOldQuestions(at: Instant, epoch: number): void {
    const last = this.#turn;
    this.#turn = { at, epoch };
    if (last === null || (last.epoch === epoch && at - last.at <= FORGOTTEN_MS)) return;
    this.#questions = new PatientQuestions(this.#deps.answerMs ?? ANSWER_MS);
    this.#asked = null;
  }

  async #interruptionsOf(name: string): Promise<readonly CloudInterruption[]> {
    const provider = this.#deps.providers.get(name);
    try {
      return provider ? await provider.interruptions() : [];
    } catch (error) {
      if (!(error instanceof CloudUnknown)) throw error;
      this.#deps.logger.warn({ provider: name, err: error }, 'a provider does not tell what it will take away');
      return [];
    }
  }

  async #write({ lease, cluster, world: { observation }, plan: { changes } }: NonNullable<NodesTurn>): Promise<void> {
    const { database, store, meter, clusterId, clock } = this.#deps;
    if (!observation) return;
    const news = meter ? `${lease.epoch} ${meterable(observation)}` : this.#metered;
    if (changes.length === 0 && news === this.#metered) return;
    await fencedWrite(database, { scope: SCOPE, lease }, async (tx) => {
      await store.saveNodes(
        tx,
        changes.map(({ after }) => after),
      );
      const cause = { at: clock.now(), principal: PRINCIPAL };
      record(tx, ...changes.flatMap((change) => nodeChanged(change, cluster, cause) ?? []));
      await meter?.observed(tx, clusterId, observation);
    });
    this.#metered = news;
  }

  #remember({ departures: { alone } }: NodesPlan): void {
    const now = this.#deps.clock.now();
    this.#alone = new Map(alone.map((uid) => [uid, this.#alone.get(uid) ?? now]));
  }

  async #act(turn: NonNullable<NodesTurn>, signal: AbortSignal): Promise<void> {
    const { lease, plan } = turn;
    const { actions, logger } = this.#deps;
    const fence = { epoch: lease.epoch };
    for (const { node, message } of plan.announcements) await actions.announce(node, message, fence);
    for (const { kind, pod, node, reason } of plan.departures.departures) {
      signal.throwIfAborted();
      logger.info({ pod: pod.name, node, step: kind, reason }, 'a pod leaves its node');
      if (kind === 'release') await actions.release(pod, fence);
      else await actions.retire(pod, fence);
    }
    for (const poolPlan of plan.pools) {
      signal.throwIfAborted();
      const at = poolAt(turn, poolPlan.poolId);
      const acted = at !== null && (await this.#scaler.execute(at, poolPlan, lease));
      if (acted) this.#asked = null;
    }
  }
}

function poolAt(turn: NonNullable<NodesTurn>, poolId: Id): PoolAt | null {
  const { cluster, world, rates, sold } = turn;
  const pool = world.pools.find(({ id }) => id === poolId);
  const scaling = world.scalings.find((one) => one.poolId === poolId);
  if (!pool || !scaling) return null;
  const [rate, offering] = [rates.get(pool.offeringId ?? ''), sold.get(pool.offeringId ?? '')];
  return { cluster, pool, scaling, rate: rate ?? null, offering: offering ?? null, answer: world.answers.get(poolId) ?? null };
}

/** By pool: what its provider said last of its kind of capacity. */
function answersFor(
  { pools, scalings, sold }: Pick<NodesWorld, 'pools' | 'scalings'> & Pick<NonNullable<NodesInput>, 'sold'>,
  answers: readonly CapacityAnswer[],
): Map<Id, CapacityAnswer> {
  const found = scalings.flatMap((scaling) => {
    const pool = pools.find(({ id }) => id === scaling.poolId);
    const key = pool && capacityKeyOf(pool, scaling, sold.get(pool.offeringId ?? '') ?? null);
    const answer = key && answers.find((one) => isSameCapacity(one.key, key));
    return answer ? [[scaling.poolId, answer] as const] : [];
  });
  return new Map(found);
}

const NO_SIGHT: CloudSight = { clouds: new Map(), interruptions: [] };

/** What a node did before its cluster was registered is nobody's business. */
const sinceRegistered = (observation: InventoryObservation, { createdAt }: Cluster): InventoryObservation => ({
  ...observation,
  nodes: observation.nodes.map((node) => ({ ...node, from: Math.max(node.from, createdAt) })),
});

/** Everything that costs follow from; equal texts need no second telling. */
const meterable = ({ nodes }: InventoryObservation): string =>
  JSON.stringify(
    nodes.map(({ uid, from, capacity, provider, region, zone, instanceType, capacityType, pricePerHour, priceProblem, pods }) => [
      ...[
        uid,
        from,
        capacity,
        provider,
        region,
        zone,
        instanceType,
        capacityType,
        pricePerHour?.toString() ?? null,
        priceProblem,
      ],
      pods.map(({ uid: pod, requests, from: since, endingSince, ready }) => [pod, requests, since, endingSince, ready]),
    ]),
  );
