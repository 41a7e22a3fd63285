import { CostsReconciler } from '../costs/costs.reconciler.ts';
import { LedgerAudit } from '../costs/ledger-audit.reconciler.ts';
import { NodeCostsReconciler } from '../costs/node-costs.reconciler.ts';
import type { ClusterPort } from '../deployments/cluster.port.ts';
import { LOOK_MS } from '../deployments/plan-live-spot.ts';
import { Restoration } from '../deployments/restoration.service.ts';
import { FailoverReconciler } from '../deployments/failover.reconciler.ts';
import { MOVES_MS, MovesReconciler } from '../deployments/moves.reconciler.ts';
import { SpotReconciler } from '../deployments/spot.reconciler.ts';
import { newId, type Id } from '../kernel/id.ts';
import { DAY_MS, HOUR_MS } from '../kernel/instant.ts';
import type { Scope } from '../kernel/transaction.ts';
import { pruneOutcomes } from '../persistence/commands.ts';
import { PriceFeedsReconciler } from '../pricing/price-feeds.reconciler.ts';
import { makePricingMetrics } from '../pricing/pricing.metrics.ts';
import { LeaseKeeper } from '../reconcile/lease-keeper.ts';
import { inOrder, Loop, once } from '../reconcile/loop.ts';
import { ClusterLoops, type OpenCluster } from './cluster-loops.ts';
import type { Parts } from './compose.ts';
import type { Wake } from './make-services.ts';
import { listenError } from './start-error.ts';

/** How long events are kept. Higher: the table grows; lower: an alerting tool that was away over a holiday meets a gap. */
const KEEP_EVENTS_MS = 30 * DAY_MS;
/** How fast pools grew is asked about for the window of the velocity breaker, at most a week. Higher: rows for nobody; lower: growth is forgotten. */
const KEEP_GROWTH_MS = 30 * DAY_MS;
/** How often what is old is forgotten. Higher: more is there at a time; lower: reads for nothing. */
const HOUSEKEEPING_MS = HOUR_MS;
/** Rows forgotten in one run. Higher holds locks for long, lower lets a busy installation's table grow. */
const MAX_PRUNED = 10_000;
/** How often minutes are looked at for closing. Higher: the ledger lags; lower: reads for nothing. */
const COSTS_MS = 10_000;
/** How often is looked which price feeds are due. Higher: they are read late; lower: reads for nothing. */
const PRICES_MS = 15_000;
/** Between two looks at the spot market that commits ask for; notices of interruption do not wait. Higher: changes are followed late; lower: reads for nothing. */
const SPOT_REST_MS = 1_500;
/** How often closed minutes are read again. Higher: a meddled ledger is noticed late; lower: reads for nothing. */
const AUDIT_MS = 600_000;
const SCOPE: Scope = { kind: 'reconciler', loop: 'housekeeping' };

export interface StartOptions {
  readonly host: string;
  readonly port: number;
  readonly linkHost: string;
  readonly linkPort: number;
  /** From "not ready" until the API takes no new connection; default 0. */
  readonly stopDelayMs?: number;
  /** What runs replicas on this machine, and what names its cluster; null = nothing does. */
  readonly local: { readonly machineId: Id; readonly cluster: ClusterPort } | null;
  /** Makes the way to every other cluster. */
  readonly openCluster: OpenCluster;
}

interface Stoppable {
  stop(): Promise<void>;
}

/** One running instance: loops, API and router link over the object graph, started and stopped in order. */
export class ControlPlane {
  readonly #parts: Parts;
  readonly #running: Stoppable[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Resolves with the ports once everything serves. A failure stops what was started. */
  async start(options: StartOptions): Promise<{ readonly port: number; readonly linkPort: number }> {
    try {
      return await this.#start(options);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async #start(options: StartOptions): Promise<{ readonly port: number; readonly linkPort: number }> {
    const { events, prices, fleet, database, routeTable, changeWatch, planner, api, link } = this.#parts;
    await events.start();
    this.#running.push(events);
    await prices.loadCatalogue();
    await this.#startPrices();
    const { local } = options;
    if (local) await database.write(SCOPE, (tx) => fleet.ensureLocalCluster(tx, { machineId: local.machineId }));
    routeTable.start();
    this.#running.push(routeTable);
    this.#startClusters(options);
    changeWatch.start();
    this.#running.push(changeWatch);
    this.#startCosts();
    this.#startSpot();
    this.#startHousekeeping();
    const port = await api.listen(options.host, options.port).catch((error: unknown) => {
      throw listenError(error as NodeJS.ErrnoException, 'the API', options.port, 'PURSER_PORT');
    });
    this.#running.push(planner);
    // At once: neither's callers may hold up the other's end.
    this.#running.push({ stop: () => Promise.all([api.close(options.stopDelayMs), link.close()]).then(() => undefined) });
    const linkPort = await link.listen(options.linkHost, options.linkPort).catch((error: unknown) => {
      throw listenError(error as NodeJS.ErrnoException, 'the router link', options.linkPort, 'PURSER_LINK_PORT');
    });
    this.#parts.setReady(true);
    return { port, linkPort };
  }

  /** Agreements hold for a new book, too; feeds that are not configured any more fall silent like others, so that somebody must look. */
  async #startPrices(): Promise<void> {
    const { pricing, priceFeeds, priceStore, config, clock, random, logger, database, registry } = this.#parts;
    await pricing.agreements.refresh();
    const known = await database.read(SCOPE, (tx) => pricing.feedStore.feeds(tx));
    if (priceFeeds.size === 0 && known.length === 0) return;
    const keeper = new LeaseKeeper({
      ...{ database, clock, random, logger },
      name: 'price-feeds',
      holder: this.#holder(),
      onChange: () => loop.wake(),
    });
    const reconciler = new PriceFeedsReconciler({
      ...{ database, clock, random, logger },
      lease: () => keeper.current(),
      feeds: priceFeeds,
      staleAfterMs: config.stalePricesMs,
      store: pricing.feedStore,
      prices: priceStore,
      agreements: pricing.agreementStore,
      metrics: makePricingMetrics(registry),
    });
    const loop = new Loop({ name: 'price feeds', everyMs: PRICES_MS, body: once(reconciler, clock), random, logger });
    for (const part of [keeper, loop]) {
      part.start();
      this.#running.push(part);
    }
  }

  #startClusters({ local, openCluster }: StartOptions): void {
    const open: OpenCluster = (cluster) =>
      cluster.kind === 'local' && local
        ? Promise.resolve({ cluster: local.cluster, stop: () => Promise.resolve() })
        : openCluster(cluster);
    const loops = new ClusterLoops(this.#parts, { open, machineId: local?.machineId ?? null });
    loops.start();
    this.#running.push(loops);
  }

  #startCosts(): void {
    const { costsReconciler, ledgerAudit, clock, random, logger, database } = this.#parts;
    const keeper = new LeaseKeeper({
      database,
      clock,
      random,
      logger,
      name: 'costs',
      holder: this.#holder(),
      onChange: () => {
        loop.wake();
        auditing.wake();
      },
    });
    const reconciler = new CostsReconciler({ ...costsReconciler, lease: () => keeper.current() });
    const nodes = new NodeCostsReconciler({ ...costsReconciler, lease: () => keeper.current() });
    const [closeReplicas, closeNodes] = [once(reconciler, clock), once(nodes, clock)];
    const body = async (signal: AbortSignal) => {
      await closeReplicas(signal);
      await closeNodes(signal);
    };
    const prune = async () => {
      await reconciler.prune();
      await nodes.prune();
    };
    const loop = new Loop({ name: 'costs', everyMs: COSTS_MS, body, random, logger });
    const pruning = new Loop({ name: 'costs pruning', everyMs: HOUSEKEEPING_MS, body: prune, random, logger });
    const audit = new LedgerAudit({ ...costsReconciler, audit: ledgerAudit, lease: () => keeper.current() });
    const auditing = new Loop({ name: 'ledger audit', everyMs: AUDIT_MS, body: (signal) => audit.pass(signal), random, logger });
    for (const part of [keeper, loop, pruning, auditing]) {
      part.start();
      this.#running.push(part);
    }
  }

  /** Moves what lost clusters had, and what is worth moving, spreads replicas over pools as the market goes, and gives back what gave way. */
  #startSpot(): void {
    const { spotDeps, deploy, decisionStore, clock, random, logger, database, wakes } = this.#parts;
    const wake: Wake = (_clusters, isUrgent) => loop.wake({ isUrgent });
    const onChange = (): void => loop.wake({ isUrgent: true });
    const keeper = new LeaseKeeper({ database, clock, random, logger, name: 'spot', holder: this.#holder(), onChange });
    const spreading = once(new SpotReconciler({ ...spotDeps, lease: () => keeper.current() }), clock);
    const failover = once(new FailoverReconciler({ ...spotDeps, deploy, lease: () => keeper.current() }), clock);
    const restoration = new Restoration(spotDeps);
    const body = inOrder(failover, spreading, (signal) => restoration.pass(keeper.current(), signal));
    const loop = new Loop({ name: 'spot', everyMs: LOOK_MS, restMs: SPOT_REST_MS, body, random, logger });
    const moves = new MovesReconciler({ ...spotDeps, deploy, decided: decisionStore, lease: () => keeper.current() });
    const moving = new Loop({ name: 'moves', everyMs: MOVES_MS, body: once(moves, clock), random, logger });
    wakes.add(wake);
    keeper.start();
    loop.start();
    moving.start();
    this.#running.push(keeper, loop, moving, { stop: () => Promise.resolve(void wakes.delete(wake)) });
  }

  /** Forgetting is idempotent and takes no decision, so that every instance may do it. */
  #startHousekeeping(): void {
    const { events, artifacts, capacityStore, database, clock, random, logger } = this.#parts;
    const body = async () => {
      await events.prune(KEEP_EVENTS_MS);
      await artifacts.sweep();
      await database.write(SCOPE, (tx) => pruneOutcomes(tx, clock.now(), MAX_PRUNED));
      await database.write(SCOPE, (tx) => capacityStore.prune(tx, clock.now() - KEEP_GROWTH_MS, MAX_PRUNED));
    };
    const loop = new Loop({ name: 'housekeeping', everyMs: HOUSEKEEPING_MS, body, random, logger });
    loop.start();
    this.#running.push(loop);
  }

  /** Last started, first stopped; one that fails to stop does not keep the others. */
  async stop(): Promise<void> {
    this.#parts.setReady(false);
    for (const part of this.#running.splice(0).reverse()) {
      await part.stop().catch((error: unknown) => this.#parts.logger.error({ err: error }, 'a part did not stop'));
    }
  }

  #holder(): string {
    return newId(this.#parts.clock.now(), this.#parts.random);
  }
}
