import { extname, join } from 'node:path';
import { CloudsService } from '../clouds/clouds.service.ts';
import { CostQueryRepository } from '../costs/cost-query.repository.ts';
import { CostRepository } from '../costs/cost.repository.ts';
import { makeCostMetrics } from '../costs/costs.metrics.ts';
import { CostsService } from '../costs/costs.service.ts';
import { LedgerAuditRepository } from '../costs/ledger-audit.repository.ts';
import { MeteringService } from '../costs/metering.service.ts';
import { NodeCostRepository } from '../costs/node-cost.repository.ts';
import { NodeFactsRepository } from '../costs/node-facts.repository.ts';
import { NodeMeteringService } from '../costs/node-metering.service.ts';
import { ReplicaRatesService } from '../costs/replica-rates.service.ts';
import { SnapshotRepository } from '../costs/snapshot.repository.ts';
import { SnapshotService } from '../costs/snapshot.service.ts';
import { DecisionRepository } from '../decisions/decision.repository.ts';
import { DecisionsService } from '../decisions/decisions.service.ts';
import type { ClusterPort } from '../deployments/cluster.port.ts';
import { ChangeRepository } from '../deployments/change.repository.ts';
import { ChangeWatch } from '../deployments/change-watch.service.ts';
import { ClusterUseRepository } from '../deployments/cluster-use.repository.ts';
import { DeployService, type DeploySettings } from '../deployments/deploy.service.ts';
import { DeploymentRepository } from '../deployments/deployment.repository.ts';
import { DeploymentsService } from '../deployments/deployments.service.ts';
import { FleetPlanService } from '../deployments/fleet-plan.service.ts';
import { Market } from '../deployments/market.service.ts';
import { RebuildService } from '../deployments/rebuild.service.ts';
import { RentedPlaces } from '../deployments/rented-places.service.ts';
import { RouteTableRepository } from '../deployments/route-table.repository.ts';
import { RouteTableService } from '../deployments/route-table.service.ts';
import { SpotRepository } from '../deployments/spot.repository.ts';
import { ServedRepository } from '../deployments/served.repository.ts';
import { ServedService } from '../deployments/served.service.ts';
import { WishWriter } from '../deployments/wish-writer.service.ts';
import { EventLog } from '../events/event-log.ts';
import { CapacityRepository } from '../fleet/capacity.repository.ts';
import { ClusterRepository } from '../fleet/cluster.repository.ts';
import { NodeRepository } from '../fleet/node.repository.ts';
import { NodesService } from '../fleet/nodes.service.ts';
import { KARPENTER } from '../fleet/node.ts';
import { FleetService } from '../fleet/fleet.service.ts';
import { AuthenticationService } from '../identity/authentication.service.ts';
import { BootstrapService } from '../identity/bootstrap.service.ts';
import { CredentialsService } from '../identity/credentials.service.ts';
import { IdentityRepository } from '../identity/identity.repository.ts';
import { IdentityService } from '../identity/identity.service.ts';
import { JoseOidcVerifier } from '../identity/oidc-verifier.adapter.ts';
import { QuotasService } from '../identity/quotas.service.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Id } from '../kernel/id.ts';
import type { Random } from '../kernel/random.ts';
import { Commands } from '../persistence/commands.ts';
import type { Database } from '../persistence/database.ts';
import { installationIdOf } from '../persistence/installation-secret.ts';
import { BundledCatalogue } from '../pricing/bundled-catalogue.adapter.ts';
import { PriceFeedRepository } from '../pricing/price-feed.repository.ts';
import { PriceRepository } from '../pricing/price.repository.ts';
import { PricesService } from '../pricing/prices.service.ts';
import { ArtifactRepository } from '../registry/artifact.repository.ts';
import { ArtifactsService } from '../registry/artifacts.service.ts';
import type { BlobStore } from '../registry/blob-store.port.ts';
import { DiskBlobStore } from '../registry/disk-blob-store.adapter.ts';
import { S3BlobStore } from '../registry/s3-blob-store.adapter.ts';
import { ModelRepository } from '../registry/model.repository.ts';
import { ModelsService } from '../registry/models.service.ts';
import { ThreadedFleetPlanner } from '../scheduler/threaded-fleet-planner.adapter.ts';
import type { Logger } from '../telemetry/logger.ts';
import { makeMetricRegistry } from '../telemetry/metrics.ts';
import type { Config } from './config.ts';
import { openClouds } from './open-clouds.ts';
import { makePricing } from './make-pricing.ts';
import { packageRoot } from './package-root.ts';

export interface ComposeDeps {
  readonly config: Config;
  readonly database: Database;
  /** Of the installation, the same for every instance on its database. */
  readonly secret: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What wakes loops is told which clusters something concerns (null = any), and whether machines will be taken away. */
export type Wake = (clusterIds: ReadonlySet<Id> | null, isInterrupted: boolean) => void;

/** What every part is made of; `wakes` are called after each commit, of this instance or another. */
export function makeFoundation({ config, database, clock, random, logger, secret }: ComposeDeps) {
  const shared = { database, clock, random, logger, commands: new Commands({ database, clock }) };
  const wakes = new Set<Wake>();
  const onChange = (clusterIds: ReadonlySet<Id> | null = null, isInterrupted = false) =>
    wakes.forEach((wake) => wake(clusterIds, isInterrupted));
  const events = new EventLog(shared);
  const changeWatch = new ChangeWatch({ ...shared, events, changes: new ChangeRepository(), onChange });
  const installation = installationIdOf(secret);
  return { ...shared, config, secret, installation, registry: makeMetricRegistry(), events, wakes, onChange, changeWatch };
}

type Foundation = ReturnType<typeof makeFoundation>;

/** Who asks, what can be deployed, and what it costs where. */
export function makeCatalogue(shared: Foundation) {
  const { config, secret } = shared;
  const identityStore = new IdentityRepository();
  const oidc = config.oidc
    ? new JoseOidcVerifier({ ...config.oidc, clock: shared.clock, file: join(config.dataDir, 'oidc-keys.json') })
    : null;
  const quotas = new QuotasService(identityStore);
  const priceStore = new PriceRepository();
  const clusterStore = new ClusterRepository();
  const artifacts = new ArtifactsService({
    ...shared,
    store: new ArtifactRepository(),
    blobs: blobStoreOf(config),
    identity: identityStore,
    quotas,
    grantSecret: secret,
  });
  const prices = new PricesService({
    ...shared,
    store: priceStore,
    catalogue: new BundledCatalogue(join(packageRoot, 'deploy', 'price-book')),
  });
  const nodeStore = new NodeRepository();
  const capacityStore = new CapacityRepository();
  const decisionStore = new DecisionRepository();
  const { clouds, providers: nodeProviders, feeds: priceFeeds } = openClouds(shared);
  return {
    identityStore,
    quotas,
    priceStore,
    clusterStore,
    artifacts,
    authentication: new AuthenticationService({ ...shared, store: identityStore, oidc }),
    bootstrap: new BootstrapService({ ...shared, store: identityStore }),
    credentials: new CredentialsService(identityStore, oidc),
    identity: new IdentityService({ ...shared, store: identityStore }),
    prices,
    nodeStore,
    capacityStore,
    clouds: new CloudsService({ ...shared, clouds, feedAges: new PriceFeedRepository(), rentedPools: nodeStore }),
    /** Who rents machines for pools, by the name that pools give. */
    nodeProviders,
    priceFeeds,
    pricing: makePricing({ ...shared, priceStore }),
    nodes: new NodesService({
      ...shared,
      store: nodeStore,
      capacity: capacityStore,
      clusters: clusterStore,
      prices,
      providers: [...nodeProviders.keys(), KARPENTER],
    }),
    fleet: new FleetService({
      ...shared,
      store: clusterStore,
      use: new ClusterUseRepository(),
      providers: [...nodeProviders.keys()],
    }),
    models: new ModelsService({ ...shared, store: new ModelRepository(), identity: identityStore, signatures: artifacts }),
    decisionStore,
    decisions: new DecisionsService({ ...shared, store: decisionStore }),
  };
}

type Catalogue = ReturnType<typeof makeCatalogue>;

/** What runs, and what it cost. */
export function makeOperations(shared: Foundation, catalogue: Catalogue) {
  const { identityStore, models, prices, decisions, quotas, clusterStore, priceStore, credentials } = catalogue;
  const { config } = shared;
  const deploymentStore = new DeploymentRepository();
  const wishes = {
    ...shared,
    store: deploymentStore,
    identity: identityStore,
    models,
    prices,
    clusters: clusterStore,
    decisions,
  };
  const writer = new WishWriter({ ...wishes, quotas, nodes: catalogue.nodeStore });
  const spot = new SpotRepository();
  const rented = new RentedPlaces({
    ...wishes,
    nodes: catalogue.nodeStore,
    capacity: catalogue.capacityStore,
    agreements: catalogue.pricing.agreements,
    spot,
  });
  const market = new Market(wishes);
  const costDeps = { ...shared, store: new CostRepository(), metrics: makeCostMetrics(shared.registry) };
  const nodeCosts = new NodeCostRepository();
  const costs = new CostsService({ ...shared, store: costDeps.store, query: new CostQueryRepository(), nodes: nodeCosts });
  const planner = new ThreadedFleetPlanner(PLANNER);
  const clusters = new Map<Id, ClusterPort>();
  return {
    deploymentStore,
    spotDeps: { ...wishes, spot, capacity: catalogue.capacityStore, nodes: catalogue.nodeStore, writer },
    /** By cluster id: filled when a cluster's loop starts. */
    clusters,
    rebuilds: new RebuildService({ ...wishes, quotas, clusterOf: (id) => clusters.get(id) ?? null }),
    deploy: new DeployService({ ...wishes, writer, rented, market, settings: deploySettings(config) }),
    deployments: new DeploymentsService({ ...wishes, writer }),
    planner,
    fleetPlans: new FleetPlanService({ ...wishes, market, planner }),
    served: new ServedService(new ServedRepository()),
    routeTable: new RouteTableService({
      ...shared,
      store: deploymentStore,
      versions: new RouteTableRepository(),
      clusters: clusterStore,
      credentials,
      prices,
      replicaRates: new ReplicaRatesService(nodeCosts),
      onMoved: () => shared.changeWatch.wake(),
    }),
    costs,
    costsReconciler: { ...costDeps, nodes: nodeCosts },
    nodeMetering: new NodeMeteringService({ ...shared, store: new NodeFactsRepository(), prices: priceStore }),
    ledgerAudit: new LedgerAuditRepository(costDeps.store, nodeCosts),
    metering: new MeteringService(costDeps),
    snapshots: new SnapshotService({ store: new SnapshotRepository(), deployments: deploymentStore, prices: priceStore, costs }),
  };
}

/** Everything that decides or stores, without what listens. */
export function makeServices(deps: ComposeDeps) {
  const foundation = makeFoundation(deps);
  const catalogue = makeCatalogue(foundation);
  return { ...foundation, ...catalogue, ...makeOperations(foundation, catalogue) };
}

export type Services = ReturnType<typeof makeServices>;

/** What a request may wait for a joint plan: two runs of the solver, its search and its start. An idle thread is ended after half a minute. */
const PLANNER = {
  script: new URL(`./fleet-planner${extname(import.meta.url)}`, import.meta.url),
  ...{ answerMs: 5_000, idleMs: 30_000 },
};

const deploySettings = ({ regions, allowProcess, publicRouterUrl, s3 }: Config): DeploySettings => ({
  regions,
  allowProcess,
  routerHost: new URL(publicRouterUrl).hostname,
  artifactRegion: s3?.endpoint === undefined && s3 ? `aws/${s3.region}` : null,
});

const blobStoreOf = (config: Config): BlobStore =>
  config.s3 ? new S3BlobStore(config.s3) : new DiskBlobStore(join(config.dataDir, 'artifacts'));
