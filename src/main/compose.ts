import { join } from 'node:path';
import { makeApiMetrics } from '../api/api.metrics.ts';
import { artifactRoutes } from '../api/artifacts.ts';
import { StoredEventSubjects } from '../api/event-subjects.ts';
import { EventResolver } from '../api/event.resolver.ts';
import { NodeResolver } from '../api/node.resolver.ts';
import { RouterLink } from '../api/router-link.ts';
import { makeSchema } from '../api/schema.ts';
import { ApiServer } from '../api/server.ts';
import { CostQueryRepository } from '../costs/cost-query.repository.ts';
import { CostRepository } from '../costs/cost.repository.ts';
import { CostResolver, DeploymentCostsResolver, ModelCostsResolver } from '../costs/cost.resolver.ts';
import { makeCostMetrics } from '../costs/costs.metrics.ts';
import { CostsService } from '../costs/costs.service.ts';
import { MeteringService } from '../costs/metering.service.ts';
import { RevisionErrorRepository } from '../costs/revision-errors.repository.ts';
import { SnapshotRepository } from '../costs/snapshot.repository.ts';
import { AliasSnapshotResolver, DeploymentSnapshotResolver, SnapshotResolver, TrafficShareSnapshotResolver } from '../costs/snapshot.resolver.ts';
import { SnapshotService } from '../costs/snapshot.service.ts';
import { DecisionResolver, decisionNodes } from '../decisions/decision.resolver.ts';
import { DecisionRepository } from '../decisions/decision.repository.ts';
import { DecisionsService } from '../decisions/decisions.service.ts';
import type { ClusterPort } from '../deployments/cluster.port.ts';
import { DeployService } from '../deployments/deploy.service.ts';
import { DeploymentRepository } from '../deployments/deployment.repository.ts';
import { DeploymentMutationsResolver } from '../deployments/deployment-mutations.resolver.ts';
import {
  DeploymentResolver,
  ModelDeploymentsResolver,
  ModelVersionDeploymentsResolver,
  ReplicaResolver,
  RevisionResolver,
  deploymentNodes,
} from '../deployments/deployment.resolver.ts';
import { DeploymentStatusResolver } from '../deployments/deployment-status.resolver.ts';
import { DeploymentsService } from '../deployments/deployments.service.ts';
import type { LoopPace } from '../deployments/plan-workloads.ts';
import { RouteTableRepository } from '../deployments/route-table.repository.ts';
import { RouteTableService } from '../deployments/route-table.service.ts';
import { ServedRepository } from '../deployments/served.repository.ts';
import { ModelVersionServedResolver, ServingIntervalResolver } from '../deployments/served.resolver.ts';
import { ServedService } from '../deployments/served.service.ts';
import { WishWriter } from '../deployments/wish-writer.service.ts';
import { EventLog } from '../events/event-log.ts';
import { ClusterRepository } from '../fleet/cluster.repository.ts';
import { ClusterResolver, fleetNodes } from '../fleet/cluster.resolver.ts';
import { FleetService } from '../fleet/fleet.service.ts';
import { AuthenticationService } from '../identity/authentication.service.ts';
import { BootstrapService } from '../identity/bootstrap.service.ts';
import { CredentialsService } from '../identity/credentials.service.ts';
import { IdentityRepository } from '../identity/identity.repository.ts';
import { IdentityResolver, TeamResolver, identityNodes } from '../identity/identity.resolver.ts';
import { IdentityService } from '../identity/identity.service.ts';
import { JoseOidcVerifier } from '../identity/oidc-verifier.adapter.ts';
import { QuotasService } from '../identity/quotas.service.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Id } from '../kernel/id.ts';
import type { Random } from '../kernel/random.ts';
import { Commands } from '../persistence/commands.ts';
import type { Database } from '../persistence/database.ts';
import { BundledCatalogue } from '../pricing/bundled-catalogue.adapter.ts';
import { OfferingResolver, pricingNodes } from '../pricing/offering.resolver.ts';
import { PriceRepository } from '../pricing/price.repository.ts';
import { PricesService } from '../pricing/prices.service.ts';
import { ArtifactRepository } from '../registry/artifact.repository.ts';
import { ArtifactsService } from '../registry/artifacts.service.ts';
import type { BlobStore } from '../registry/blob-store.port.ts';
import { DiskBlobStore } from '../registry/disk-blob-store.adapter.ts';
import { S3BlobStore } from '../registry/s3-blob-store.adapter.ts';
import { ModelRepository } from '../registry/model.repository.ts';
import { ModelAliasChangeResolver, ModelAliasResolver, ModelResolver, ModelVersionResolver, registryNodes } from '../registry/model.resolver.ts';
import { ModelsService } from '../registry/models.service.ts';
import type { Logger } from '../telemetry/logger.ts';
import { makeMetricRegistry } from '../telemetry/metrics.ts';
import type { Config } from './config.ts';
import { packageRoot } from './package-root.ts';
import { signedArtifactGrants } from './signed-artifact-grants.ts';

export interface ComposeDeps {
  readonly config: Config;
  readonly database: Database;
  /** Of the installation, the same for every instance on its database. */
  readonly secret: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** The whole control plane as one object graph: the only place that knows every implementation. Nothing runs until it is started. */
export function compose(deps: ComposeDeps) {
  const { config, database, clock, random, logger, secret } = deps;
  const registry = makeMetricRegistry();
  const shared = { database, clock, random, logger, commands: new Commands({ database, clock }) };
  const events = new EventLog(shared);

  const identityStore = new IdentityRepository();
  const oidc = config.oidc ? new JoseOidcVerifier(config.oidc) : null;
  const authentication = new AuthenticationService({ ...shared, store: identityStore, oidc });
  const identity = new IdentityService({ ...shared, store: identityStore });
  const quotas = new QuotasService(identityStore);
  const priceStore = new PriceRepository();
  const prices = new PricesService({ ...shared, store: priceStore, catalogue: new BundledCatalogue(join(packageRoot, 'deploy', 'price-book')) });
  const fleet = new FleetService({ ...shared, store: new ClusterRepository() });
  const artifacts = new ArtifactsService({
    ...shared,
    store: new ArtifactRepository(),
    blobs: blobStoreOf(config),
    identity: identityStore,
    quotas,
    grantSecret: secret,
  });
  const models = new ModelsService({ ...shared, store: new ModelRepository(), identity: identityStore, signatures: artifacts });
  const costStore = new CostRepository();
  const costMetrics = makeCostMetrics(registry);
  const metering = new MeteringService({ ...shared, store: costStore, metrics: costMetrics });
  const costs = new CostsService({ store: costStore, query: new CostQueryRepository() });

  const decisions = new DecisionsService({ ...shared, store: new DecisionRepository() });
  const deploymentStore = new DeploymentRepository();
  const clusters = new Map<Id, ClusterPort>();
  const wakes = new Set<() => void>();
  const onChange = () => wakes.forEach((wake) => wake());
  const clusterStore = new ClusterRepository();
  const wishes = { ...shared, store: deploymentStore, identity: identityStore, models, prices, clusters: clusterStore, decisions, onChange };
  const writer = new WishWriter({ ...wishes, quotas });
  const deploy = new DeployService({ ...wishes, writer, settings: { regions: config.regions, allowProcess: config.allowProcess } });
  const deployments = new DeploymentsService({ ...wishes, writer });
  const routeTable = new RouteTableService({
    ...shared,
    store: deploymentStore,
    versions: new RouteTableRepository(),
    credentials: new CredentialsService(identityStore, oidc),
    prices,
    onMoved: onChange,
  });
  const link = new RouterLink({
    authenticate: (token) => authentication.authenticate(token),
    tables: routeTable,
    usage: metering,
    registry,
    logger,
  });

  const snapshots = new SnapshotService({ store: new SnapshotRepository(), deployments: deploymentStore, prices: priceStore, costs });
  const eventResolver = new EventResolver(events, new StoredEventSubjects());
  const nodes = [...identityNodes(identity), ...registryNodes(models), ...pricingNodes(prices), ...fleetNodes(fleet), ...deploymentNodes(deployments), ...decisionNodes(decisions)];
  const resolvers = new Map<unknown, object>([
    [NodeResolver, new NodeResolver(nodes)],
    [IdentityResolver, new IdentityResolver(identity)],
    [TeamResolver, new TeamResolver(identity)],
    [ModelResolver, new ModelResolver(models)],
    [ModelVersionResolver, new ModelVersionResolver(models)],
    [ModelAliasResolver, new ModelAliasResolver(models)],
    [ModelAliasChangeResolver, new ModelAliasChangeResolver(models)],
    [OfferingResolver, new OfferingResolver(prices)],
    [ClusterResolver, new ClusterResolver(fleet)],
    [DeploymentResolver, new DeploymentResolver({ deployments, decisions, routerUrl: `http://${config.host}:${config.routerPort}` })],
    [DeploymentStatusResolver, new DeploymentStatusResolver(deployments)],
    [DeploymentMutationsResolver, new DeploymentMutationsResolver({ deploy, deployments, decisions })],
    [RevisionResolver, new RevisionResolver(models)],
    [ReplicaResolver, new ReplicaResolver(deployments, (clusterId) => clusters.get(clusterId) ?? null)],
    [ModelDeploymentsResolver, new ModelDeploymentsResolver(deployments)],
    [ModelVersionDeploymentsResolver, new ModelVersionDeploymentsResolver(deployments)],
    [ModelVersionServedResolver, new ModelVersionServedResolver(new ServedService(new ServedRepository()))],
    [ServingIntervalResolver, new ServingIntervalResolver(deployments)],
    [DecisionResolver, new DecisionResolver(decisions)],
    [CostResolver, new CostResolver(costs)],
    [ModelCostsResolver, new ModelCostsResolver(costs)],
    [DeploymentCostsResolver, new DeploymentCostsResolver(costs)],
    [SnapshotResolver, new SnapshotResolver(snapshots)],
    [DeploymentSnapshotResolver, new DeploymentSnapshotResolver(snapshots)],
    [TrafficShareSnapshotResolver, new TrafficShareSnapshotResolver(models)],
    [AliasSnapshotResolver, new AliasSnapshotResolver(models)],
    [EventResolver, eventResolver],
  ]);
  let ready = false;
  const api = new ApiServer({
    ...shared,
    schema: makeSchema({ get: (resolver) => resolvers.get(resolver) ?? {} }),
    authentication,
    events: eventResolver,
    artifacts: artifactRoutes({ artifacts, authentication }),
    dashboardDir: join(packageRoot, 'dist', 'dashboard'),
    metrics: makeApiMetrics(registry),
    isReady: () => ready,
  });
  return {
    ...shared,
    api,
    link,
    events,
    prices,
    fleet,
    routeTable,
    deploy,
    deployments,
    /** By cluster id: filled when a cluster's loop starts. */
    clusters,
    /** Called after each wish and each commit of another instance. */
    wakes,
    bootstrap: new BootstrapService({ ...shared, store: identityStore }),
    clusterLoop: {
      ...shared,
      store: deploymentStore,
      prices,
      decisions,
      errors: new RevisionErrorRepository(),
      artifacts: signedArtifactGrants({ apiUrl: `http://${config.host}:${config.port}`, secret, clock }),
      pace: PACE,
    },
    costsReconciler: { ...shared, store: costStore, metrics: costMetrics },
    setReady: (value: boolean) => {
      ready = value;
    },
  };
}

/** The object graph. */
export type Parts = ReturnType<typeof compose>;

/** How fast rollouts go unless told otherwise. */
const PACE: LoopPace = { stepMs: 3_000, progressDeadlineMs: 180_000, graceMs: 1_500 };

const blobStoreOf = (config: Config): BlobStore => (config.s3 ? new S3BlobStore(config.s3) : new DiskBlobStore(join(config.dataDir, 'artifacts')));
