import type { CapacityType } from '../clouds/offering.ts';
import type { Condition } from '../kernel/condition.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { isName, NAME_RULE } from '../kernel/name.ts';
import { parseUsd, PICO_PER_USD, type PicoUsdPerHour } from '../kernel/money.ts';
import type { Resources } from '../kernel/resources.ts';
import type { VersionTarget } from '../registry/model-version.ts';

export const DEPLOYMENT_PHASES = ['PENDING', 'DEPLOYING', 'READY', 'DEGRADED', 'HIBERNATED', 'FAILED', 'DELETING'] as const;

/** Highest first. */
export const DEPLOYMENT_PRIORITIES = ['high', 'normal', 'low'] as const;

export type DeploymentPriority = (typeof DEPLOYMENT_PRIORITIES)[number];

export const priorityOf = ({ priority }: Pick<DeploymentSpec, 'priority'>): DeploymentPriority => priority ?? 'normal';

export type DeploymentPhase = (typeof DEPLOYMENT_PHASES)[number];

/** Share of traffic of one revision, in percent. */
export interface TrafficWeight {
  /** Number of the revision. */
  readonly revision: number;
  readonly weight: number;
}

/** A cluster that replicas are placed on. */
export interface PlacedCluster {
  /** Its name. */
  readonly cluster: string;
  /** Name of the pool there; absent = its default one. */
  readonly pool?: string;
  /** Share of the traffic among the clusters of its order; 0 = none as long as another one can take it. */
  readonly weight: number;
  /** The lowest order that can take traffic takes it all. */
  readonly order: number;
}

/** What the owner allows besides regions and capacity types; what is left out does not matter to him. */
export interface PlacementWishes {
  /** Regions that law or contract allows, `*` for any. */
  readonly residency?: readonly string[];
  /** In percent of the replicas. */
  readonly minOnDemandPercent?: number;
  /** At least so many zones share the replicas. */
  readonly zones?: number;
  /** What an hour without one of its replicas is worth: USD, as text. */
  readonly outageCostPerHour?: string;
  /** Round trip to the callers, in ms. */
  readonly latencyMs?: number;
  readonly callers?: readonly { readonly region: string; readonly mibPerHour: number }[];
  /** Deployments of the same project: in a region of one of these, and in none of those. */
  readonly near?: readonly string[];
  readonly apart?: readonly string[];
  /** It is moved to a cheaper place when that is worth it; absent = that is only proposed. */
  readonly moves?: boolean;
}

/** A pool that was chosen, with its share of the replicas. */
export interface ChosenPlace {
  readonly cluster: string;
  readonly pool: string;
  readonly weight: number;
}

/** What the owner wishes for; a change of it is a new generation. */
export interface DeploymentSpec {
  readonly model: string;
  /** Resolved when the wish is made. */
  readonly version: VersionTarget;
  /** Replicas of each revision that gets traffic; 0 = hibernated. */
  readonly replicas: number;
  /** What they carry together, of which their number follows; absent = the number itself is wished for. */
  readonly milliRequestsPerSecond?: number;
  /** Null = what the model version says. */
  readonly resources: Resources | null;
  /** Requests that one replica handles at a time. */
  readonly concurrency: number;
  /** A request that is not answered by then gets 504. */
  readonly deadlineMs: number;
  /** Requests that may wait for a free replica. */
  readonly queueLimit: number;
  /** A replica that is not ready by then has failed; absent in wishes of before it could be said. */
  readonly readinessTimeoutMs?: number;
  /** Whose replicas give way where a quota is short; absent = `normal`. */
  readonly priority?: DeploymentPriority;
  /** The owner says that any request may be sent twice. */
  readonly retryable: boolean;
  /** Host names that lead here, besides the path. */
  readonly hosts: readonly string[];
  /** Never more replicas than this, both sides of a rollout counted. */
  readonly maxReplicas: number;
  /** Never dearer than this, both sides of a rollout counted. */
  readonly maxSpendPerHour: PicoUsdPerHour;
  readonly placement: {
    readonly regions: readonly string[];
    readonly capacityTypes: readonly CapacityType[];
    /** Absent or empty = where it is, else the first cluster that takes new replicas and can run it. */
    readonly clusters?: readonly PlacedCluster[];
    /** Name of the pool where no cluster is named; absent = the default one. */
    readonly pool?: string;
    readonly policy?: PlacementWishes;
    /** Where no cluster is named and machines are rented: the pools that were chosen, so that it stays there. */
    readonly places?: readonly ChosenPlace[];
  };
  /** The one other system whose wish this is, such as `ModelDeployment cluster/namespace/name`; absent = whoever may write. */
  readonly manager?: string;
  /** The shares that hold once no rollout is under way; they sum to 100. */
  readonly traffic: readonly TrafficWeight[];
}

export interface Deployment {
  readonly id: Id;
  readonly teamId: Id;
  readonly projectId: Id;
  readonly teamName: string;
  readonly projectName: string;
  /** Also its model name in the inference protocols. */
  readonly name: string;
  readonly spec: DeploymentSpec;
  /** Rises with every change of `spec`, and when it is deleted. */
  readonly generation: number;
  /** Rises with every change of the row, status included: what events carry. */
  readonly version: number;
  /** The generation that the status speaks of. */
  readonly observedGeneration: number;
  readonly phase: DeploymentPhase;
  readonly conditions: readonly Condition[];
  readonly createdAt: Instant;
  readonly createdBy: string;
  readonly updatedAt: Instant;
  /** When deletion was asked for. */
  readonly deletedAt: Instant | null;
  /** When the last replica had been given up after that. */
  readonly goneAt: Instant | null;
}

export const deploymentPath = (deployment: Pick<Deployment, 'teamName' | 'projectName' | 'name'>): string =>
  `${deployment.teamName}/${deployment.projectName}/${deployment.name}`;

export const DEFAULT_CONCURRENCY = 4;
/** Higher lets slow models hold connections, lower cuts honest inference short. */
export const DEFAULT_DEADLINE_MS = 30_000;
/** Higher makes callers wait longer before they learn of an overload, lower refuses short bursts. */
export const DEFAULT_QUEUE_LIMIT = 100;
/** Higher: a broken replica is tried in vain for longer; lower: slow starters (large models) never get ready. */
export const DEFAULT_READINESS_TIMEOUT_MS = 120_000;
/** A million requests per second: more is a slip of the finger. */
const MAX_MILLI_REQUESTS = 1_000_000_000;
const MAX_CONCURRENCY = 10_000;
const MAX_DEADLINE_MS = 3_600_000;
const MAX_QUEUE = 100_000;
const MAX_HOSTS = 20;
/** Higher makes every pass of every cluster's loop read more, lower keeps a global deployment from its regions. */
const MAX_CLUSTERS = 20;
const MAX_WEIGHT = 1_000;
const MIN_READINESS_TIMEOUT_MS = 1_000;
const MAX_READINESS_TIMEOUT_MS = 3_600_000;
const HOST = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+$/;
/** Whatever ends in a number is read as an IPv4 address; all who call the router by its address would be led to one deployment. */
const ADDRESS = /(?:^|\.)(?:\d+|0x[0-9a-f]*)$/;

/** A number that is said by hand counts, and no throughput any more; one that hibernates wakes to what it carried. */
export function withReplicas(spec: DeploymentSpec, replicas: number): DeploymentSpec {
  const { milliRequestsPerSecond: _, ...byHand } = spec;
  return { ...(replicas === 0 ? spec : byHand), replicas };
}

const invalid = (field: string, message: string): Failure => failure('INVALID_INPUT', message, { path: ['input', field] });

/** The first thing that is wrong with a wish by itself; null if nothing is. */
export function checkSpec(name: string, spec: DeploymentSpec): Failure | null {
  if (!isName(name)) return invalid('name', `The name ${NAME_RULE}.`);
  return (
    checkCounts(spec) ??
    checkThroughput(spec) ??
    checkHosts(spec.hosts) ??
    checkTraffic(spec.traffic) ??
    checkPlacement(spec) ??
    checkPolicy(spec) ??
    checkManager(spec)
  );
}

const MANAGER = /^[!-~ ]{1,253}$/;

function checkManager({ manager }: DeploymentSpec): Failure | null {
  return manager === undefined || MANAGER.test(manager)
    ? null
    : invalid('manager', 'A manager has 1 to 253 printable characters.');
}

function checkCounts(spec: DeploymentSpec): Failure | null {
  const ranges: readonly [keyof DeploymentSpec, number, number, number][] = [
    ['replicas', spec.replicas, 0, spec.maxReplicas],
    ['maxReplicas', spec.maxReplicas, 1, 1_000],
    ['concurrency', spec.concurrency, 1, MAX_CONCURRENCY],
    ['deadlineMs', spec.deadlineMs, 1, MAX_DEADLINE_MS],
    ['queueLimit', spec.queueLimit, 0, MAX_QUEUE],
    [
      'readinessTimeoutMs',
      spec.readinessTimeoutMs ?? DEFAULT_READINESS_TIMEOUT_MS,
      MIN_READINESS_TIMEOUT_MS,
      MAX_READINESS_TIMEOUT_MS,
    ],
  ];
  for (const [field, value, low, high] of ranges) {
    if (!Number.isInteger(value) || value < low || value > high)
      return invalid(field, `${field} must be between ${low} and ${high}.`);
  }
  return spec.maxSpendPerHour > 0n ? null : invalid('maxSpendPerHour', 'maxSpendPerHour must be above zero.');
}

function checkThroughput({ milliRequestsPerSecond: goal }: DeploymentSpec): Failure | null {
  const fits = goal === undefined || (Number.isInteger(goal) && goal >= 1 && goal <= MAX_MILLI_REQUESTS);
  return fits ? null : invalid('requestsPerSecond', 'requestsPerSecond must be between 0.001 and 1,000,000.');
}

function checkHosts(hosts: readonly string[]): Failure | null {
  if (hosts.length > MAX_HOSTS) return invalid('hosts', `There may be at most ${MAX_HOSTS} hosts.`);
  return hosts.every((host) => HOST.test(host) && !ADDRESS.test(host))
    ? null
    : invalid('hosts', 'A host is a lower-case DNS name with at least one dot, and no IP address.');
}

/** Weights are whole percents that sum to 100, each revision once. */
export function checkTraffic(weights: readonly TrafficWeight[]): Failure | null {
  const whole = weights.every(({ weight }) => Number.isInteger(weight) && weight >= 0 && weight <= 100);
  const once = new Set(weights.map(({ revision }) => revision)).size === weights.length;
  const sum = weights.reduce((all, { weight }) => all + weight, 0);
  return whole && once && sum === 100
    ? null
    : invalid('weights', 'Weights are whole percents that sum to 100, each revision named once.');
}

const REGION_PATTERN = /^[a-z0-9*-]+\/[a-z0-9*-]+$/;
/** Higher makes each decision compare more, lower keeps callers of the whole world from being named. */
const MAX_CALLERS = 50;

function checkPolicy({ placement: { regions, policy = {} } }: DeploymentSpec): Failure | null {
  const wrong = [...regions, ...(policy.residency ?? [])].find((pattern) => !REGION_PATTERN.test(pattern));
  if (wrong !== undefined) return invalid('regions', `"${wrong}" must be provider/region, such as aws/us-east-1 or gcp/*.`);
  const ranges = [
    ['minOnDemandPercent', policy.minOnDemandPercent ?? 0, 0, 100],
    ['zones', policy.zones ?? 1, 1, MAX_CLUSTERS],
    ['latencyMs', policy.latencyMs ?? 1, 1, MAX_DEADLINE_MS],
  ] as const;
  const beyond = ranges.find(([, value, low, high]) => value < low || value > high);
  if (beyond) return invalid('policy', `${beyond[0]} must be between ${beyond[2]} and ${beyond[3]}.`);
  return checkOutageCost(policy) ?? checkCallers(policy);
}

/** Of an hour without one replica. Beyond it nothing but on-demand is taken anyway. */
const MAX_OUTAGE_COST = 1_000_000n * PICO_PER_USD;

function checkOutageCost({ outageCostPerHour }: PlacementWishes): Failure | null {
  const cost = outageCostPerHour === undefined ? 0n : parseUsd(outageCostPerHour);
  if (cost !== null && cost >= 0n && cost <= MAX_OUTAGE_COST) return null;
  return invalid('policy', 'outageCostPerHour is an amount of USD, 0 or more and at most 1,000,000.');
}

function checkCallers({ latencyMs, callers = [] }: PlacementWishes): Failure | null {
  if (callers.length > MAX_CALLERS || callers.some(({ mibPerHour }) => mibPerHour < 0))
    return invalid('policy', `There may be at most ${MAX_CALLERS} callers, each of 0 MiB per hour or more.`);
  return latencyMs !== undefined && callers.length === 0
    ? invalid('policy', 'latencyMs needs callers: whence the requests come.')
    : null;
}

function checkPlacement({ placement }: DeploymentSpec): Failure | null {
  const { regions, capacityTypes, clusters = [] } = placement;
  if (regions.length === 0 || capacityTypes.length === 0)
    return invalid('placement', 'At least one region and one capacity type must be allowed.');
  if (clusters.length === 0) return null;
  if (clusters.length > MAX_CLUSTERS) return invalid('clusters', `There may be at most ${MAX_CLUSTERS} clusters.`);
  if (new Set(clusters.map(({ cluster }) => cluster)).size !== clusters.length)
    return invalid('clusters', 'Each cluster may be named once.');
  const inRange = (value: number, high: number) => Number.isInteger(value) && value >= 0 && value <= high;
  if (!clusters.every(({ weight, order }) => inRange(weight, MAX_WEIGHT) && inRange(order, MAX_CLUSTERS)))
    return invalid('clusters', `A weight is between 0 and ${MAX_WEIGHT}, an order between 0 and ${MAX_CLUSTERS}.`);
  const first = Math.min(...clusters.map(({ order }) => order));
  return clusters.some(({ order, weight }) => order === first && weight > 0)
    ? null
    : invalid('clusters', 'A cluster of the lowest order needs a weight above 0.');
}
