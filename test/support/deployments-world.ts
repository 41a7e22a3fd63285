import { offeringIdOf } from '../../src/clouds/offering-key.ts';
import type { Offering } from '../../src/clouds/offering.ts';
import { ReplicaEvidenceRepository } from '../../src/costs/replica-evidence.repository.ts';
import { DecisionRepository } from '../../src/decisions/decision.repository.ts';
import { DecisionsService } from '../../src/decisions/decisions.service.ts';
import type { ClusterPort } from '../../src/deployments/cluster.port.ts';
import { ClusterUseRepository } from '../../src/deployments/cluster-use.repository.ts';
import { DeployService, type DeployInput, type DeployOptions } from '../../src/deployments/deploy.service.ts';
import type { Deployment } from '../../src/deployments/deployment.ts';
import { DeploymentRepository } from '../../src/deployments/deployment.repository.ts';
import { makeDeploymentMetrics } from '../../src/deployments/deployments.metrics.ts';
import { DeploymentsReconciler } from '../../src/deployments/deployments.reconciler.ts';
import { DeploymentsService } from '../../src/deployments/deployments.service.ts';
import { Market } from '../../src/deployments/market.service.ts';
import { RentedPlaces } from '../../src/deployments/rented-places.service.ts';
import type { RevisionErrors } from '../../src/deployments/revision-errors.port.ts';
import { RouteTableRepository } from '../../src/deployments/route-table.repository.ts';
import { SpotRepository } from '../../src/deployments/spot.repository.ts';
import type { RouteTableStore } from '../../src/deployments/route-table-store.port.ts';
import { RouteTableService } from '../../src/deployments/route-table.service.ts';
import { WishWriter } from '../../src/deployments/wish-writer.service.ts';
import type { CapacitySource, PoolWish } from '../../src/fleet/cluster.ts';
import { CapacityRepository } from '../../src/fleet/capacity.repository.ts';
import { ClusterRepository } from '../../src/fleet/cluster.repository.ts';
import { NodeRepository } from '../../src/fleet/node.repository.ts';
import { FleetService } from '../../src/fleet/fleet.service.ts';
import { CredentialsService } from '../../src/identity/credentials.service.ts';
import { IdentityRepository } from '../../src/identity/identity.repository.ts';
import { QuotasService } from '../../src/identity/quotas.service.ts';
import type { Clock } from '../../src/kernel/clock.ts';
import type { Id } from '../../src/kernel/id.ts';
import { newId } from '../../src/kernel/id.ts';
import { PICO_PER_USD } from '../../src/kernel/money.ts';
import type { Random } from '../../src/kernel/random.ts';
import type { Scope } from '../../src/kernel/transaction.ts';
import { Commands } from '../../src/persistence/commands.ts';
import type { Database } from '../../src/persistence/database.ts';
import { acquireLease, type Lease } from '../../src/persistence/lease.ts';
import { sqlOf } from '../../src/persistence/sql.ts';
import { AgreementRepository } from '../../src/pricing/agreement.repository.ts';
import { AgreementsService } from '../../src/pricing/agreements.service.ts';
import { PriceRepository } from '../../src/pricing/price.repository.ts';
import { PricesService } from '../../src/pricing/prices.service.ts';
import type { ModelVersion } from '../../src/registry/model-version.ts';
import { ModelRepository } from '../../src/registry/model.repository.ts';
import { ModelsService } from '../../src/registry/models.service.ts';
import { makeMetricRegistry } from '../../src/telemetry/metrics.ts';
import { principalOf, seededRandom } from './actors.ts';
import { quietLogger } from './quiet-logger.ts';
import { SimulatedCluster } from './simulated-cluster.ts';

const SCOPE: Scope = { kind: 'reconciler', loop: 'test' };
export const PACE = { stepMs: 1_000, progressDeadlineMs: 60_000, graceMs: 1_000 };
export const SOMETIME = Date.UTC(2026, 0, 15, 12);

export class ManualClock {
  #now = SOMETIME;
  now = (): number => this.#now;
  advance(ms: number): void {
    this.#now += ms;
  }
}

/** Ids and rows that outlive every control plane of a test. */
export interface Ground {
  readonly database: Database;
  readonly clock: ManualClock;
  readonly random: Random;
  readonly cluster: SimulatedCluster;
  /** Clusters beside the first one, by name. */
  readonly others: Map<string, { readonly id: Id; readonly cluster: SimulatedCluster }>;
  readonly errors: Map<Id, RevisionErrors>;
  readonly clusterId: Id;
  readonly teamId: Id;
  readonly projectId: Id;
  readonly teamName: string;
  readonly offerings: readonly Offering[];
}

const offeringOf = (instanceType: string, cpuMilli: number): Offering => {
  const key = { provider: 'aws', region: 'us-east-1', zone: '', instanceType, capacityType: 'on_demand' as const };
  return {
    id: offeringIdOf(key),
    ...key,
    architecture: 'amd64',
    cpuMilli,
    memoryMib: 8192,
    accelerator: null,
    interruptionBand: null,
  };
};

/**
 * A team with a project, a model of `versions` versions, a cluster, and offerings at 0.10 and 0.20 USD per hour. Only the newest of a
 * database takes new replicas. */
export async function makeGround(database: Database, teamName: string, versions = 3): Promise<Ground> {
  const clock = new ManualClock();
  const random = seededRandom(Buffer.from(teamName).reduce((all, byte) => (all * 31 + byte) >>> 0, 7));
  const id = () => newId(clock.now(), random);
  const [teamId, projectId, modelId] = [id(), id(), id()];
  const offerings = [offeringOf('m5.large', 2000), offeringOf('m5.xlarge', 4000)];
  const identity = new IdentityRepository();
  const models = new ModelRepository();
  const owner = { teamId, projectId, createdAt: clock.now(), createdBy: teamId };
  const fleet = fleetOf({ database, clock, random });
  const clusterId = await database.write(SCOPE, async (tx) => {
    await identity.insertTeam(tx, { id: teamId, name: teamName, version: 1, createdAt: clock.now() });
    const limits = { maxReplicas: 10, maxSpendPerHour: 5n * PICO_PER_USD };
    await identity.insertProject(
      tx,
      {
        id: projectId,
        teamId,
        teamName,
        name: 'demo',
        ...limits,
        version: 1,
        createdAt: clock.now(),
      },
      { at: clock.now(), principal: 'test' },
    );
    await models.insertModel(tx, {
      id: modelId,
      ...owner,
      teamName,
      projectName: 'demo',
      name: 'digits',
      description: '',
      version: 1,
    });
    for (let number = 1; number <= versions; number += 1)
      await models.insertVersion(tx, versionOf({ ...owner, id: id(), modelId, number }));
    const prices = new PriceRepository();
    await prices.saveOfferings(tx, offerings);
    await prices.appendObserved(
      tx,
      offerings.map((offering, n) => ({
        id: id(),
        offering,
        price: (BigInt(n + 1) * PICO_PER_USD) / 10n,
        source: 'test@2026-01-01',
        asOf: Date.UTC(2026, 0, 1),
      })),
      clock.now(),
    );
    await sqlOf(tx).execute(`update cluster set cordoned = true`);
    return (await fleet.ensureLocalCluster(tx, { machineId: 'machine', name: teamName })).cluster.id;
  });
  const cluster = new SimulatedCluster(clock);
  return {
    database,
    clock,
    random,
    cluster,
    others: new Map(),
    errors: new Map(),
    clusterId,
    teamId,
    projectId,
    teamName,
    offerings,
  };
}

export const fleetOf = ({
  database,
  clock,
  random,
}: Pick<Ground, 'database' | 'random'> & { readonly clock: Clock }): FleetService =>
  new FleetService({
    ...{ store: new ClusterRepository(), use: new ClusterUseRepository(), clock, random },
    commands: new Commands({ database, clock }),
  });

/** Registers a simulated cluster beside the ground's own. */
export async function addCluster(
  ground: Ground,
  name: string,
  pools?: readonly PoolWish[],
  capacitySources: readonly CapacitySource[] = [],
): Promise<SimulatedCluster> {
  const { clock } = ground;
  clock.advance(1);
  const fleet = fleetOf(ground);
  const caller = { principal: principalOf('platform_admin', null), idempotencyKey: null };
  const anyNode: PoolWish = { name: 'default', capacityType: 'on_demand', offeringId: null, nodeSelector: {} };
  const wish = { name, kind: 'simulated' as const, config: null, pools: pools ?? [anyNode], capacitySources };
  const made = await fleet.register(caller, wish);
  if (!made.ok) throw new Error(made.error.message);
  const cluster = new SimulatedCluster(clock);
  ground.others.set(name, { id: made.value.clusterId, cluster });
  return cluster;
}

export const versionOf = (
  ids: Pick<ModelVersion, 'id' | 'teamId' | 'projectId' | 'modelId' | 'number' | 'createdAt' | 'createdBy'>,
): ModelVersion => ({
  ...ids,
  format: 'onnx',
  artifact: { digest: `sha256:${String(ids.number).padStart(64, '0')}`, sizeBytes: 1 },
  signature: null,
  runtime: { format: 'onnx' },
  resources: { cpuMilli: 250, memoryMib: 256, accelerator: null },
  carries: [],
  lineage: null,
  archivedAt: null,
});

/** A control plane on the ground: throw it away and make another one, as a restart does. */
export async function makeControlPlane(
  ground: Ground,
  options: {
    readonly database?: Database;
    readonly cluster?: ClusterPort;
    /** What the control plane sees of each cluster; else the cluster itself. */
    readonly through?: (cluster: ClusterPort) => ClusterPort;
    readonly holder?: string;
    readonly allowProcess?: boolean;
    readonly versions?: RouteTableStore;
  } = {},
) {
  const { clock, random, clusterId } = ground;
  const database = options.database ?? ground.database;
  const cluster = options.cluster ?? ground.cluster;
  const shared = { clock, random, logger: quietLogger, database, commands: new Commands({ database, clock }) };
  const store = new DeploymentRepository();
  const identity = new IdentityRepository();
  const catalogue = {
    digest: () => Promise.resolve(''),
    read: () => Promise.resolve({ rows: [], regions: [], latencies: [], zoneItems: [] }),
  };
  const prices = new PricesService({ ...shared, store: new PriceRepository(), catalogue });
  const decisions = new DecisionsService({ ...shared, store: new DecisionRepository() });
  const unread = () => Promise.reject(new Error('no artifact is read here'));
  const signatures = { prepare: unread, read: unread };
  const models = new ModelsService({ ...shared, store: new ModelRepository(), identity, signatures });
  const quotas = new QuotasService(identity);
  const clusters = new ClusterRepository();
  const nodes = new NodeRepository();
  const agreements = new AgreementsService({ ...shared, store: new AgreementRepository(), prices: new PriceRepository() });
  const writer = new WishWriter({ ...shared, store, clusters, nodes, prices, quotas, decisions });
  const common = { ...shared, store, writer, identity, models, prices, clusters, decisions, onChange: () => undefined };
  const rented = new RentedPlaces({
    ...common,
    nodes,
    agreements,
    capacity: new CapacityRepository(),
    spot: new SpotRepository(),
  });
  const deploys = new DeployService({
    ...{ ...common, rented, market: new Market(common) },
    settings: { regions: ['aws/us-east-1'], allowProcess: options.allowProcess ?? false, routerHost: 'router.example' },
  });
  const deployments = new DeploymentsService(common);
  const lease = await acquire(ground.database, clusterId, options.holder ?? 'one');
  const held = new Map<Id, Lease | null>([[clusterId, lease]]);
  const artifacts = {
    grant: ({ digest }: { digest: string }) => ({ artifactUrl: `http://control-plane/${digest}`, artifactToken: 'secret' }),
  };
  const errors = { errorsOf: () => Promise.resolve(ground.errors) };
  const registry = makeMetricRegistry();
  const metrics = makeDeploymentMetrics(registry);
  /** What the loop of a cluster takes. */
  const depsOf = (id: Id, port: ClusterPort) => ({
    ...{ ...common, clusterStore: clusters, quotas, metrics, errors, evidence: new ReplicaEvidenceRepository(), artifacts },
    ...{ clusterId: id, cluster: options.through ? options.through(port) : port, pace: PACE },
  });
  const reconcilerOf = (id: Id, port: ClusterPort) =>
    new DeploymentsReconciler({ ...depsOf(id, port), lease: () => held.get(id) ?? null });
  const reconciler = reconcilerOf(clusterId, cluster);
  const reconcilers = [reconciler];
  for (const other of ground.others.values()) {
    held.set(other.id, await acquire(ground.database, other.id, options.holder ?? 'one'));
    reconcilers.push(reconcilerOf(other.id, other.cluster));
  }
  const routes = new RouteTableService({
    ...shared,
    store,
    versions: options.versions ?? new RouteTableRepository(),
    clusters,
    credentials: new CredentialsService(identity, null),
    prices,
  });
  const admin = principalOf('platform_admin', null);
  const passOf = async (one: DeploymentsReconciler) =>
    one.execute(one.plan(await one.prepare(), clock.now()), new AbortController().signal);
  /** One after the other, as their leaders would. */
  const pass = async () => {
    for (const one of reconcilers) await passOf(one);
  };
  const path = { teamName: ground.teamName, projectName: 'demo', name: 'digits' };
  return {
    ...{
      deploys,
      deployments,
      agreements,
      decisions,
      reconciler,
      routes,
      store,
      lease,
      pass,
      passOf,
      depsOf,
      admin,
      models,
      path,
      registry,
      reconcilers,
    },
    setLease: (next: Lease | null) => held.set(clusterId, next),
    /** Deploys model version `number`. */
    deploy: (number: number, more: Partial<DeployInput> = {}, how: Partial<DeployOptions> = {}, key: string | null = null) =>
      deploys.deploy(
        { principal: admin, idempotencyKey: key },
        { project: { teamName: ground.teamName, name: 'demo' }, name: 'digits', model: 'digits', version: { number }, ...more },
        { dryRun: false, planHash: null, expectedVersion: null, ...how },
      ),
    caller: { principal: admin, idempotencyKey: null },
    ref: { deployment: path, expectedVersion: null },
    look: async (): Promise<Deployment> => {
      const row = await database.read(SCOPE, (tx) => store.deployment(tx, path));
      if (!row) throw new Error('no such deployment');
      return row;
    },
    /** Passes and time until the deployment is in the phase. */
    until: async (wanted: (row: Deployment) => boolean, passes = 40): Promise<Deployment> => {
      for (let n = 0; n < passes; n += 1) {
        await pass();
        const row = await database.read(SCOPE, (tx) => store.deployment(tx, path));
        if (row && wanted(row)) return row;
        clock.advance(500);
      }
      throw new Error('it did not come true');
    },
  };
}

export type ControlPlane = Awaited<ReturnType<typeof makeControlPlane>>;

/** Takes the loop's lease, whoever holds it: ends the other's first, as time would. */
async function acquire(database: Database, clusterId: Id, holder: string): Promise<Lease> {
  const name = `deployments/${clusterId}`;
  return database.write(SCOPE, async (tx) => {
    await sqlOf(tx).execute(`update lease set expires_at = 0 where name = $1`, [name]);
    const lease = await acquireLease(tx, name, holder);
    if (!lease) throw new Error('the lease is held');
    // Nobody renews it here, and a busy machine may take long.
    await sqlOf(tx).execute(`update lease set expires_at = expires_at + 3600000 where name = $1`, [name]);
    return lease;
  });
}

/** Rows as the database has them, for assertions. */
export const rows = <R>(database: Database, text: string, values: readonly unknown[] = []): Promise<R[]> =>
  database.read(SCOPE, (tx) => sqlOf(tx).query<R>(text, values));

/** Types of the events of a team, oldest first. */
export const eventTypes = async (database: Database, teamId: Id): Promise<string[]> =>
  (await rows<{ type: string }>(database, `select type from outbox where team_id = $1 order by seq`, [teamId])).map(
    ({ type }) => type,
  );
