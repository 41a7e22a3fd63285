import type { CapacityType } from '../clouds/offering.ts';
import type { PicoUsdPerHour } from '../kernel/money.ts';
import type { Resources } from '../kernel/resources.ts';
import type { VersionTarget } from '../registry/model-version.ts';
import {
  DEFAULT_CONCURRENCY,
  DEFAULT_DEADLINE_MS,
  DEFAULT_QUEUE_LIMIT,
  withReplicas,
  type DeploymentPriority,
  type DeploymentSpec,
  type PlacementWishes,
  type PlacedCluster,
} from './deployment.ts';

/** What a caller says of a deployment; what is left out stays as it is, or takes its default. */
export interface WishInput {
  readonly model: string;
  readonly version: VersionTarget;
  readonly replicas?: number | null;
  /** Instead of replicas. */
  readonly milliRequestsPerSecond?: number | null;
  readonly resources?: Resources | null;
  readonly concurrency?: number | null;
  readonly deadlineMs?: number | null;
  readonly queueLimit?: number | null;
  readonly retryable?: boolean | null;
  readonly hosts?: readonly string[] | null;
  readonly maxReplicas?: number | null;
  readonly maxSpendPerHour?: PicoUsdPerHour | null;
  readonly regions?: readonly string[] | null;
  readonly capacityTypes?: readonly CapacityType[] | null;
  readonly manager?: string | null;
  readonly readinessTimeoutMs?: number | null;
  readonly priority?: DeploymentPriority | null;
  /** Empty = wherever it is, else the first that can run it. */
  readonly clusters?: readonly PlacedCluster[] | null;
  readonly pool?: string | null;
  /** As a whole; absent or null = as it was. */
  readonly policy?: PlacementWishes | null;
}

/** The whole wish: what was asked for, else what it was, else the default; the limits are its project's. */
export function wishOf(
  input: WishInput,
  limits: Pick<DeploymentSpec, 'maxReplicas' | 'maxSpendPerHour'>,
  current: { readonly deployment: { readonly spec: DeploymentSpec } } | null,
  regions: readonly string[],
): DeploymentSpec {
  const defaults: DeploymentSpec = current?.deployment.spec ?? {
    model: input.model,
    version: input.version,
    replicas: 1,
    resources: null,
    concurrency: DEFAULT_CONCURRENCY,
    deadlineMs: DEFAULT_DEADLINE_MS,
    queueLimit: DEFAULT_QUEUE_LIMIT,
    retryable: false,
    hosts: [],
    maxReplicas: limits.maxReplicas,
    maxSpendPerHour: limits.maxSpendPerHour,
    placement: { regions, capacityTypes: ['on_demand'] as const },
    traffic: [{ revision: 1, weight: 100 }],
  };
  return {
    ...withThroughput(input, defaults),
    ...overrides(input),
    model: input.model,
    version: input.version,
    placement: placementOf(input, defaults.placement),
    traffic: defaults.traffic,
  };
}

/** Replicas and a throughput take the place of each other; the number that carries it is found later. */
function withThroughput({ replicas, milliRequestsPerSecond }: WishInput, before: DeploymentSpec): DeploymentSpec {
  if (typeof milliRequestsPerSecond === 'number')
    return { ...before, milliRequestsPerSecond, replicas: Math.max(1, before.replicas) };
  return typeof replicas === 'number' ? withReplicas(before, replicas) : before;
}

/** Where no cluster is named the pool stands for itself; else it is the one of every cluster that is named without one. */
function placementOf(input: WishInput, before: DeploymentSpec['placement']): DeploymentSpec['placement'] {
  const pool = input.pool ?? before.pool;
  const clusters = input.clusters?.map((one) => (one.pool === undefined && input.pool ? { ...one, pool: input.pool } : one));
  const placed = clusters ?? before.clusters ?? [];
  return {
    regions: input.regions ?? before.regions,
    capacityTypes: input.capacityTypes ?? before.capacityTypes,
    ...policyOf(input.policy ?? before.policy),
    ...(placed.length > 0 ? { clusters: placed } : whereverOf(pool, before)),
  };
}

/** A named pool, or the pools that were chosen so far. */
function whereverOf(pool: string | undefined, { places }: DeploymentSpec['placement']) {
  if (pool !== undefined) return { pool };
  return places ? { places } : {};
}

/** An empty policy is none. */
const policyOf = (policy: PlacementWishes | undefined) => (policy && Object.keys(policy).length > 0 ? { policy } : {});

const OVERRIDABLE = [
  'replicas',
  'resources',
  'concurrency',
  'deadlineMs',
  'queueLimit',
  'retryable',
  'hosts',
  'maxReplicas',
  'maxSpendPerHour',
  'manager',
  'readinessTimeoutMs',
  'priority',
] as const;

/** What the input says; what it leaves out has no key. */
const overrides = (input: WishInput): Partial<DeploymentSpec> =>
  Object.fromEntries(
    OVERRIDABLE.flatMap((field) => (input[field] === undefined || input[field] === null ? [] : [[field, input[field]]])),
  );
