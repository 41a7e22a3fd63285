import type { CapacityType } from '../clouds/offering.ts';
import type { Condition } from '../kernel/condition.ts';
import { failure, type Failure } from '../kernel/failure.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { isName, NAME_RULE } from '../kernel/name.ts';

export type ClusterKind = 'local' | 'kubernetes' | 'simulated';

/** How the control plane gets in: by reference, so that no row, event or answer has a secret. */
export type ClusterAccess =
  /** A file that every control plane can read; null = its current context. */
  | { readonly kind: 'kubeconfig'; readonly file: string; readonly context: string | null }
  /** The service account of the pod that the control plane runs in. */
  | { readonly kind: 'in_cluster' };

/** What a Kubernetes cluster is told besides workloads. */
export interface ClusterConfig {
  readonly access: ClusterAccess;
  /** Team namespaces are `<prefix>-<team>`; it also names the installation there, so that two of them share a cluster by two prefixes. */
  readonly namespacePrefix: string;
  /** Where the installation keeps what is its own: its fence, and the routers that may reach replicas. */
  readonly systemNamespace: string;
  /** Image of the built-in model server, pinned by digest; null = ONNX models cannot run there. */
  readonly modelServerImage: string | null;
  /** Whence routers reach replicas: from a namespace of this cluster, and from addresses outside (CIDRs). */
  readonly routerSources: { readonly namespace: string; readonly cidrs: readonly string[] };
}

/** Workloads that a cluster runs and the database does not know: the removal of so many waits for a person. */
export interface HeldRemovals {
  /** Names exactly this set; an approval repeats it. */
  readonly digest: string;
  readonly workloadIds: readonly Id[];
}

/** Where the pools of a cluster may rent machines: what is placed there may make a pool. */
export interface CapacitySource {
  /** Name of the configured provider. */
  readonly provider: string;
  /** `provider/region`, as offerings have it. */
  readonly region: string;
  /** Only there; empty = in every zone. */
  readonly zones: readonly string[];
  /** Of all pools that were made for it together. */
  readonly maxNodes: number;
  /** The provider's own settings of such pools; never a secret. */
  readonly config: Readonly<Record<string, string>>;
}

/** A place that runs workloads, as registered. */
export interface Cluster {
  readonly id: Id;
  readonly name: string;
  readonly kind: ClusterKind;
  /** Local only: the one machine that may reconcile it. */
  readonly machineId: string | null;
  /** Kubernetes only. */
  readonly config: ClusterConfig | null;
  /** Nothing new is placed there; what runs, runs on. */
  readonly cordoned: boolean;
  /** Absent = none. */
  readonly capacitySources?: readonly CapacitySource[];
  /** When an operator said that it will not come back: what is wished there is wished elsewhere. Absent or null = it will. */
  readonly lostAt?: Instant | null;
  /** Rises with every change that somebody asked for. */
  readonly version: number;
  /** Rises with every change of the row, conditions included: what events carry. */
  readonly rowVersion: number;
  readonly createdAt: Instant;
  readonly removedAt: Instant | null;
  /** When it was last seen, as of the last change of its conditions; null = never. */
  readonly observedAt: Instant | null;
  readonly conditions: readonly Condition[];
  readonly heldRemovals: HeldRemovals | null;
  /** Workloads whose removal was approved. */
  readonly approvedRemovals: readonly Id[] | null;
  /** How often a rebuild was asked for, and how many of these its loop has carried out. */
  readonly rebuilds: number;
  readonly rebuilt: number;
}

/** A kind of capacity inside a cluster. */
export interface Pool {
  readonly id: Id;
  readonly clusterId: Id;
  readonly name: string;
  readonly capacityType: CapacityType;
  /** What a node of it costs; null = the local machine, priced by the cheapest matching offering. */
  readonly offeringId: Id | null;
  /** Kubernetes: labels that its nodes carry; empty = any node. */
  readonly nodeSelector: Readonly<Record<string, string>>;
  readonly version: number;
  readonly createdAt: Instant;
  /** Taken out of its cluster: nothing is placed there, and what its provider rented for it is given back. */
  readonly removedAt: Instant | null;
}

export const LOCAL_CLUSTER = 'local';
export const DEFAULT_POOL = 'default';
export const DEFAULT_NAMESPACE_PREFIX = 'purser';
export const DEFAULT_SYSTEM_NAMESPACE = 'purser-system';

/** Conditions of a cluster. */
export const REACHABLE = 'Reachable';
export const REMOVALS_HELD = 'RemovalsHeld';

/** False only for one that was seen to be out of sight; one that nobody has looked at yet is taken as it was left. */
export const isUnreachable = ({ conditions }: Pick<Cluster, 'conditions'>): boolean =>
  conditions.some(({ type, status }) => type === REACHABLE && status === 'False');

/** Why `Reachable` is False once it has been for long. */
export const SILENT = 'Silent';

/** It has been out of sight for so long that a person should look. */
export const isSilent = ({ conditions }: Pick<Cluster, 'conditions'>): boolean =>
  conditions.some(({ type, status, reason }) => type === REACHABLE && status === 'False' && reason === SILENT);

/** An operator said that it will not come back. */
export const isLost = ({ lostAt }: Pick<Cluster, 'lostAt'>): boolean => (lostAt ?? null) !== null;

export const isRemovalHeld = ({ conditions }: Pick<Cluster, 'conditions'>): boolean =>
  conditions.some(({ type, status }) => type === REMOVALS_HELD && status === 'True');

/** Model formats that a kind of cluster can run; the simulated one takes what is tried on it. */
const FORMATS = {
  local: ['onnx', 'process'],
  kubernetes: ['onnx', 'container'],
  simulated: ['onnx', 'process', 'container'],
} as const satisfies Record<ClusterKind, readonly string[]>;

/** True if a replica of this format can run there at all. */
export const canRun = ({ kind, config }: Pick<Cluster, 'kind' | 'config'>, format: string): boolean =>
  FORMATS[kind].some((one) => one === format) &&
  (kind !== 'kubernetes' || format !== 'onnx' || typeof config?.modelServerImage === 'string');

/** More pools, sources or labels than this say that a list was generated by mistake. */
const MAX_LISTED = 50;
const MAX_TEXT = 1_000;
/** Room for `-` and the name of a team in a namespace of 63 characters. */
const MAX_PREFIX = 20;
const CIDR = /^[0-9a-f.:]+\/\d{1,3}$/i;
const DIGEST_PINNED = /^[^\s@]+@sha256:[0-9a-f]{64}$/;

export interface PoolWish {
  readonly name: string;
  readonly capacityType: CapacityType;
  readonly offeringId: Id | null;
  readonly nodeSelector: Readonly<Record<string, string>>;
}

const invalid = (field: string, message: string): Failure => failure('INVALID_INPUT', message, { path: ['input', field] });

/** The first thing that is wrong with a cluster by itself; null if nothing is. */
export function checkCluster(name: string, config: ClusterConfig | null, pools: readonly PoolWish[]): Failure | null {
  if (!isName(name)) return invalid('name', `The name ${NAME_RULE}.`);
  return checkPools(pools) ?? (config && checkSettings(config));
}

function checkPools(pools: readonly PoolWish[]): Failure | null {
  return pools.length === 0 ? invalid('pools', `There must be 1 to ${MAX_LISTED} pools.`) : checkPoolList(pools);
}

/** The first thing that is wrong with a list of pools; one of a cluster that nothing is placed on may be empty. */
export function checkPoolList(pools: readonly PoolWish[]): Failure | null {
  const names = pools.map(({ name }) => name);
  if (pools.length > MAX_LISTED) return invalid('pools', `There must be 1 to ${MAX_LISTED} pools.`);
  if (!names.every(isName)) return invalid('pools', `A pool's name ${NAME_RULE}.`);
  if (new Set(names).size !== names.length) return invalid('pools', 'Each pool needs a name of its own.');
  const labels = pools.flatMap(({ nodeSelector }) => Object.entries(nodeSelector));
  return labels.length <= MAX_LISTED * MAX_LISTED && labels.flat().every((text) => text.length <= MAX_TEXT)
    ? null
    : invalid('pools', 'A node selector has too many labels, or one that is too long.');
}

/** The first thing that is wrong with what a cluster is told besides workloads. */
export const checkSettings = (config: ClusterConfig): Failure | null => checkAccess(config) ?? checkConfig(config);

const REGION = /^[a-z0-9-]+\/[a-z0-9-]+$/;

/** The first thing that is wrong with where a cluster may rent; `providers` are those configured here. */
export function checkSources(sources: readonly CapacitySource[], providers: readonly string[] | null): Failure | null {
  const keys = sources.map(({ provider, region }) => `${provider} ${region}`);
  if (sources.length > MAX_LISTED) return invalid('capacitySources', `At most ${MAX_LISTED}.`);
  if (new Set(keys).size !== keys.length) return invalid('capacitySources', 'Each region of a provider is named once.');
  return sources.map((source) => checkSource(source, providers)).find((wrong) => wrong !== null) ?? null;
}

function checkSource({ provider, region, maxNodes }: CapacitySource, providers: readonly string[] | null): Failure | null {
  if (!REGION.test(region)) return invalid('capacitySources', `"${region}" must be provider/region, such as aws/us-east-1.`);
  if (maxNodes < 1 || maxNodes > MAX_SOURCE_NODES)
    return invalid('capacitySources', `maxNodes must be between 1 and ${MAX_SOURCE_NODES}.`);
  const known = providers === null || providers.includes(provider);
  const names = providers?.join(', ') || 'none';
  return known ? null : invalid('capacitySources', `No provider ${provider} rents machines here; there are: ${names}.`);
}

/** Machines that one source may rent. Higher: a slip of the finger rents a fortune; lower: large fleets need two sources. */
const MAX_SOURCE_NODES = 1_000;

function checkAccess({ access }: ClusterConfig): Failure | null {
  if (access.kind === 'in_cluster') return null;
  const { file, context } = access;
  if (!file.startsWith('/') || file.length > MAX_TEXT)
    return invalid('kubeconfig', 'The file must be an absolute path that the control plane can read.');
  return context === null || (context.length > 0 && context.length <= MAX_TEXT)
    ? null
    : invalid('kubeconfig', 'A context has a name.');
}

function checkConfig(config: ClusterConfig): Failure | null {
  const { namespacePrefix, systemNamespace, modelServerImage, routerSources } = config;
  if (!isName(namespacePrefix) || namespacePrefix.length > MAX_PREFIX)
    return invalid('namespacePrefix', `It ${NAME_RULE}, with at most ${MAX_PREFIX} characters.`);
  if (!isName(systemNamespace)) return invalid('systemNamespace', `It ${NAME_RULE}.`);
  if (modelServerImage !== null && !DIGEST_PINNED.test(modelServerImage))
    return invalid('modelServerImage', 'The image must be pinned by its digest: name@sha256:….');
  if (!isName(routerSources.namespace)) return invalid('routerNamespace', `It ${NAME_RULE}.`);
  return routerSources.cidrs.length <= MAX_LISTED && routerSources.cidrs.every((cidr) => CIDR.test(cidr))
    ? null
    : invalid('routerCidrs', `At most ${MAX_LISTED} blocks of addresses such as 10.0.0.0/16.`);
}
