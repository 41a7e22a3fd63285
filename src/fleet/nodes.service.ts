import { record } from '../events/event-log.ts';
import { mayDo, PLATFORM } from '../identity/authorize.ts';
import type { Caller } from '../identity/identity.service.ts';
import type { Clock } from '../kernel/clock.ts';
import { failure, notFound, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Principal } from '../kernel/principal.ts';
import { err, ok, type Result } from '../kernel/result.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { Commands } from '../persistence/commands.ts';
import type { PricesService } from '../pricing/prices.service.ts';
import type { CapacityStore } from './capacity-store.port.ts';
import type { ClusterStore } from './cluster-store.port.ts';
import { growthResumed, poolScalingChanged } from './node.events.ts';
import type { NodesQuestion, NodeStore } from './node-store.port.ts';
import type { ClusterNode, PoolScaling } from './node.ts';

export interface NodesDeps {
  readonly commands: Commands;
  readonly clock: Clock;
  readonly store: NodeStore;
  readonly capacity: Pick<CapacityStore, 'release'>;
  readonly clusters: Pick<ClusterStore, 'pool'>;
  readonly prices: Pick<PricesService, 'believedAt'>;
  /** Names of the configured providers. */
  readonly providers: readonly string[];
}

export interface ScalingWish extends Pick<PoolScaling, 'poolId' | 'provider' | 'config' | 'minNodes' | 'maxNodes'> {
  /** Null = whatever it is now; 0 = it did not scale. */
  readonly expectedVersion: number | null;
}

/** Nodes of one pool that may be wished for. Higher: a slip of the finger rents a fortune; lower: large clusters need two pools. */
const MAX_NODES = 1_000;

/** Nodes as they were seen, and how pools may scale. */
export class NodesService {
  readonly #deps: NodesDeps;

  constructor(deps: NodesDeps) {
    this.#deps = deps;
  }

  /** Of clusters that the caller has been given, one more than asked where there are more. */
  nodes(tx: Transaction, question: NodesQuestion): Promise<ClusterNode[]> {
    return this.#deps.store.nodes(tx, { ...question, limit: question.limit + 1 });
  }

  /** Null for absent and for forbidden. */
  async node(tx: Transaction, principal: Principal, id: Id): Promise<ClusterNode | null> {
    if (!mayDo(principal, 'cluster.read', PLATFORM)) return null;
    return (await this.#deps.store.nodesByIds(tx, [id]))[0] ?? null;
  }

  /** What each costs per hour now, by its annotation or, where it has none, the price book; null = nobody knows. */
  async prices(tx: Transaction, nodes: readonly ClusterNode[]): Promise<(PicoUsdPerHour | null)[]> {
    const byBook = ({ pricePerHour, priceProblem }: ClusterNode): boolean => pricePerHour === null && priceProblem === null;
    const offerings = nodes.filter(byBook).flatMap(({ offeringId }) => offeringId ?? []);
    const believed = await this.#deps.prices.believedAt(tx, [...new Set(offerings)], this.#deps.clock.now());
    return nodes.map((node) => (byBook(node) ? (believed.get(node.offeringId ?? '')?.effective ?? null) : node.pricePerHour));
  }

  /** Of pools that the caller has been given; those that do not scale are left out. */
  scalings(tx: Transaction, poolIds: readonly Id[]): Promise<PoolScaling[]> {
    return this.#deps.store.scalings(tx, poolIds);
  }

  /** Says between how many nodes a pool may have, and who rents them. The same again changes nothing. */
  setScaling(caller: Caller, { expectedVersion, ...wish }: ScalingWish): Promise<Result<{ poolId: Id }, Failure>> {
    const body = { ...wish, config: { ...wish.config }, expectedVersion };
    return this.#deps.commands.run({ ...caller, mutation: 'setPoolScaling', body }, async (tx) => {
      const mayWrite = mayDo(caller.principal, 'cluster.write', PLATFORM);
      const pool = mayWrite ? await this.#deps.clusters.pool(tx, wish.poolId) : null;
      if (!pool) return err(notFound('pool', ['input', 'pool']));
      const before = await this.#deps.store.lockScaling(tx, pool.id);
      const wrong = check(wish, this.#deps.providers) ?? checkVersion(before, expectedVersion) ?? checkMove(before, wish);
      if (wrong) return err(wrong);
      if (before && isSame(before, wish)) return ok({ poolId: pool.id });
      const blank = { desiredNodes: null, scaledAt: null, conditions: [], emptying: null, emptiedAt: null, version: 0 };
      const after = { ...(before ?? blank), ...wish, version: versionOf(before) + 1 };
      const cause = { at: this.#deps.clock.now(), principal: caller.principal.id };
      await this.#deps.store.saveScaling(tx, after, cause);
      record(tx, poolScalingChanged(before, after, { ...cause, pool }));
      return ok({ poolId: pool.id });
    });
  }

  /**
   * Lets a pool, or all of them, grow on after it was held for growing too fast; what was added until now is not counted again. Failures:
   * NOT_FOUND, CONFLICT, PRECONDITION_FAILED (nothing is held).
   */
  resumeGrowth(
    caller: Caller,
    wish: { readonly poolId: Id; readonly all: boolean; readonly expectedVersion: number | null },
  ): Promise<Result<{ poolId: Id }, Failure>> {
    return this.#deps.commands.run({ ...caller, mutation: 'resumePoolGrowth', body: { ...wish } }, async (tx) => {
      const mayWrite = mayDo(caller.principal, 'cluster.write', PLATFORM);
      const pool = mayWrite ? await this.#deps.clusters.pool(tx, wish.poolId) : null;
      if (!pool) return err(notFound('pool', ['input', 'pool']));
      const stale = checkVersion(await this.#deps.store.lockScaling(tx, pool.id), wish.expectedVersion);
      if (stale) return err(stale);
      const cause = { at: this.#deps.clock.now(), principal: caller.principal.id };
      if (!(await this.#deps.capacity.release(tx, wish.all ? null : pool.id, cause))) return err(notHeld(wish.all));
      record(tx, growthResumed({ pool, all: wish.all, ...cause }));
      return ok({ poolId: pool.id });
    });
  }
}

const notHeld = (all: boolean): Failure =>
  all
    ? failure('PRECONDITION_FAILED', 'Growth of all pools together is not held.', {
        hint: 'Leave `all` out for this pool alone.',
      })
    : failure('PRECONDITION_FAILED', 'Growth of this pool is not held.', { hint: 'With `all` the one of all pools together.' });

const versionOf = (scaling: PoolScaling | null): number => scaling?.version ?? 0;

function checkVersion(before: PoolScaling | null, expected: number | null): Failure | null {
  const version = versionOf(before);
  if (expected === null || expected === version) return null;
  return failure('CONFLICT', `How it scales is at version ${version} now: read it again.`, { path: ['expectedVersion'] });
}

type Wish = Omit<ScalingWish, 'expectedVersion'>;

function check({ provider, minNodes, maxNodes }: Wish, providers: readonly string[]): Failure | null {
  if (!providers.includes(provider)) {
    const known = providers.length === 0 ? 'None is configured here.' : `There are: ${providers.join(', ')}.`;
    return failure('INVALID_INPUT', `No provider of this name rents machines here. ${known}`, { path: ['input', 'provider'] });
  }
  if (minNodes < 0 || minNodes > maxNodes)
    return failure('INVALID_INPUT', 'minNodes must be between 0 and maxNodes.', { path: ['input', 'minNodes'] });
  if (maxNodes > MAX_NODES)
    return failure('LIMIT_EXCEEDED', `A pool has at most ${MAX_NODES} nodes.`, { path: ['input', 'maxNodes'] });
  return null;
}

/** Machines are only found where they were rented: elsewhere nobody would give them back. */
function checkMove(before: PoolScaling | null, { provider, config }: Wish): Failure | null {
  if (!before || (before.desiredNodes ?? 0) === 0) return null;
  if (before.provider === provider && before.config['region'] === config['region']) return null;
  return failure(
    'PRECONDITION_FAILED',
    `${before.desiredNodes} machines are rented for this pool by ${before.provider}: it cannot go elsewhere.`,
    { path: ['input', 'provider'], hint: 'Make another pool, and take this one out: its machines are given back then.' },
  );
}

const isSame = (before: PoolScaling, wish: Wish): boolean =>
  before.provider === wish.provider &&
  before.minNodes === wish.minNodes &&
  before.maxNodes === wish.maxNodes &&
  sorted(before.config) === sorted(wish.config);

const sorted = (config: PoolScaling['config']): string =>
  JSON.stringify(Object.entries(config).sort(([a], [b]) => (a < b ? -1 : 1)));
