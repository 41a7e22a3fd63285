/* eslint-disable */
/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
/** Accelerators that one replica needs. */
export type AcceleratorInput = {
  /** How many, in thousandths: 1000 is one whole device. */
  countMilli?: number;
  /** Memory that one device must have, in MiB. */
  memoryMib?: number;
  /** Short model name as in the price book: T4, A100, H100. */
  model: string;
};

/** A KubernetesDeployment that somebody else made. */
export type AdoptInput = {
  /** Its name. */
  name: string;
  /** Its namespace. */
  namespace: string;
};

/** What may be removed from a cluster. */
export type ApproveRemovalsInput = {
  /** Global id of the cluster. */
  cluster: string | number;
  /** `heldRemovals.digest` as it was shown: another set is refused. */
  digest: string;
};

/** A version to take out of use. */
export type ArchiveModelVersionInput = {
  /** Global id of the version. */
  modelVersion: string | number;
};

/** Whence requests come. */
export type CallersInput = {
  /** What goes back there, in MiB per hour: it is paid for. */
  mibPerHour?: number;
  /** `provider/region`. */
  region: string;
};

/** Where the pools of a cluster may rent machines. */
export type CapacitySourceInput = {
  /** Machines of all pools that are made for it together. */
  maxNodes?: number;
  /** Name of the provider, as configured. */
  provider: string;
  /** `provider/region`, as offerings have it. */
  region: string;
  /** The provider's own settings of such pools; never a secret. */
  settings?: Array<NodeLabelInput>;
  /** Only in these zones; none = in every one. */
  zones?: Array<string>;
};

/** How capacity is rented. */
export type CapacityType =
  /** Kept until given back. */
  | 'ON_DEMAND'
  /** Paid in advance. */
  | 'RESERVED'
  /** Cheaper; can be taken away. */
  | 'SPOT';

/** What of a cloud is looked at. */
export type CloudAspect =
  /** Whether its bills can be read. */
  | 'BILL'
  /** Whether it knows who asks. */
  | 'CREDENTIALS'
  /** Whether its notices of interruptions arrive. */
  | 'NOTICES'
  /** Whether it lets them do what is needed. */
  | 'PERMISSIONS'
  /** Whether its prices are read. */
  | 'PRICES'
  /** Whether more machines may be rented. */
  | 'QUOTA';

/** How it stands with it. */
export type CloudFindingStatus =
  /** The message says what is to be done. */
  | 'FAILED'
  /** Nothing is to be done. */
  | 'OK'
  /** It could not be asked, or does not say. */
  | 'UNKNOWN';

/** How the control plane gets into a cluster: by reference, never a secret. */
export type ClusterAccessInput =
  {   /** True: by the service account of the pod that the control plane runs in. */
  inCluster: boolean; kubeconfig?: never; }
  |  { inCluster?: never;   /** By a kubeconfig. */
  kubeconfig: KubeconfigInput; };

/** What runs the replicas. */
export type ClusterKind =
  /** A Kubernetes cluster. */
  | 'KUBERNETES'
  /** Processes on one machine. */
  | 'LOCAL'
  /** Nothing: for trying policies. */
  | 'SIMULATED';

/** A container image that serves HTTP. */
export type ContainerInput = {
  /** Variables of each replica. */
  environment?: Array<EnvironmentVariableInput> | null | undefined;
  /** Path that answers 2xx once it is ready. */
  healthPath?: string;
  /** Image reference. */
  image: string;
  /** The port that it listens on; a process is told by PORT. */
  port?: number;
  /** What it speaks. */
  protocol?: Protocol;
};

/** Whether a cluster takes new replicas. */
export type CordonClusterInput = {
  /** Global id of the cluster. */
  cluster: string | number;
  /** False lets it take replicas again. */
  cordoned?: boolean;
};

/** What costs can be grouped by. */
export type CostDimension =
  /** The principal that sent the requests; empty for what nobody used. */
  | 'CALLER'
  /** The team that sent the requests; empty for what nobody used. */
  | 'CALLER_TEAM'
  /** The cluster that it ran on. */
  | 'CLUSTER'
  /** The deployment. */
  | 'DEPLOYMENT'
  /** The kind of ledger line: replica, node_idle, shared and so on. */
  | 'KIND'
  /** The model that was served. */
  | 'MODEL'
  /** The shared node whose price it is a part of; empty for what is priced by itself. */
  | 'NODE'
  /** The offering whose price was paid. */
  | 'OFFERING'
  /** The team whose deployment it is; empty for what is the platform’s: idle capacity of shared nodes and other pods on them. */
  | 'OWNER_TEAM'
  /** The project of the deployment. */
  | 'PROJECT'
  /** The replica; for the platform’s part of a shared node, the node or the pod. */
  | 'REPLICA'
  /** The revision of the deployment. */
  | 'REVISION'
  /** The state of the replica: starting, serving, unready or draining; empty for what is no replica. */
  | 'STATE'
  /** The version that was served. */
  | 'VERSION';

/** Only costs of all of these; an empty filter leaves nothing out. */
export type CostFilter = {
  /** Team that sent the requests. */
  callerTeam?: string | number | null | undefined;
  /** Cluster. */
  cluster?: string | number | null | undefined;
  /** Deployment. */
  deployment?: string | number | null | undefined;
  /** Model. */
  model?: string | number | null | undefined;
  /** Model version. */
  modelVersion?: string | number | null | undefined;
  /** Project. */
  project?: string | number | null | undefined;
  /** Replica. */
  replica?: string | number | null | undefined;
  /** Revision. */
  revision?: string | number | null | undefined;
  /** Team whose deployments they are. */
  team?: string | number | null | undefined;
};

/** Over whom idle capacity of shared nodes and pods that are no replicas are spread, in proportion to what replicas cost. The total stays the same. */
export type CostSpreading =
  /** Over all replicas of the cluster. */
  | 'BY_CLUSTER'
  /** Over replicas on the same node; a node without any stays the platform’s. */
  | 'BY_NODE'
  /** Over nobody: they are the platform’s. */
  | 'NONE';

/** How a range is cut, in UTC. */
export type CostStep =
  /** By the day. */
  | 'DAY'
  /** By the hour. */
  | 'HOUR'
  /** By the calendar month. */
  | 'MONTH';

/** A service account, or a person who signs in by OIDC. */
export type CreatePrincipalInput = {
  /** What it may do; never more than you may. */
  grants: Array<GrantInput>;
  /** A DNS label. */
  name: string;
  /** Makes it a person. */
  oidc?: OidcSubjectInput | null | undefined;
  /** The team; left out for the platform. */
  team?: TeamBy | null | undefined;
};

/** A new project. */
export type CreateProjectInput = {
  /** Replicas per deployment unless it says; default 10. */
  maxReplicas?: number | null | undefined;
  /** USD per hour and deployment unless it says; default 5. */
  maxSpendPerHour?: string | null | undefined;
  /** A DNS label, unique in the team. */
  name: string;
  /** The team. */
  team: TeamBy;
};

/** A new team. */
export type CreateTeamInput = {
  /** A DNS label: a-z, 0-9 and "-". */
  name: string;
};

/** A new token of a principal. */
export type CreateTokenInput = {
  /** When it stops working; left out = never. */
  expiresAt?: string | null | undefined;
  /** A DNS label. */
  name: string;
  /** The principal. */
  principal: string | number;
  /** Narrows what the token may do; left out = all that the principal may. */
  scope?: Array<GrantInput> | null | undefined;
};

/** A person's word on a price that is not believed. */
export type DecideQuarantinedPriceInput = {
  /** What is said of it. */
  decision: QuarantineDecision;
  /** Which. */
  quarantinedPrice: string | number;
};

/** What kind of decision it was. */
export type DecisionKind =
  /** A new revision failed and was taken back. */
  | 'AUTO_ROLLBACK'
  /** A node was emptied into the free room of others, because that is worth it. */
  | 'CONSOLIDATE'
  /** A deployment was deleted. */
  | 'DELETE'
  /** A wish was planned and carried out. */
  | 'DEPLOY'
  /** A cluster was lost or out of sight, and others took over. */
  | 'FAILOVER'
  /** A cheaper place was found that is worth moving to: a proposal. */
  | 'MOVE'
  /** Replicas were spread anew over pools of spot and on-demand capacity. */
  | 'PLACE_SPOT'
  /** Replicas gave way to a deployment of higher priority, or came back. */
  | 'PREEMPT'
  /** Somebody went back to an earlier revision. */
  | 'ROLLBACK'
  /** The number of replicas was changed. */
  | 'SCALE'
  /** A pool was asked to have another number of nodes. */
  | 'SCALE_POOL'
  /** Traffic was shared anew. */
  | 'SET_TRAFFIC';

/** Whether a cluster will come back. */
export type DeclareClusterLostInput = {
  /** Global id of the cluster. */
  cluster: string | number;
  /** False: it is back, and takes new replicas again. */
  lost?: boolean;
};

/** What to delete. */
export type DeleteDeploymentInput = {
  /** Which deployment. */
  deployment: DeploymentBy;
  /** Who manages it, if anybody does. */
  manager?: string | null | undefined;
};

/** A cluster that replicas are placed on. */
export type DeployClusterInput = {
  /** Name of the cluster. */
  cluster: string;
  /** The clusters of the lowest order that can take traffic take it all; those of later orders wait for that. */
  order?: number;
  /** Name of the pool there; default: `pool` of the wish, else its default one. */
  pool?: string | null | undefined;
  /** Share of the traffic among the clusters of its order, 0 to 1,000. Those of the lowest order share the replicas by it, each at least one; one of a later order holds that part of them that its weight is of the weights of the lowest order, at least one. 0 = no replicas. */
  weight?: number;
};

/** A wish. What is left out stays as it is; for a new deployment it takes its default. */
export type DeployInput = {
  /** Take over what runs already, without a restart; needs the platform action `runtime.adopt`. */
  adopt?: AdoptInput | null | undefined;
  /** The version that this alias points at now. */
  alias?: string | null | undefined;
  /** Allowed capacity types; default ON_DEMAND. */
  capacityTypes?: Array<CapacityType> | null | undefined;
  /** Clusters that it spans. Empty or never given: where it is, else the first registered one that takes new replicas and can run it. */
  clusters?: Array<DeployClusterInput> | null | undefined;
  /** Requests that one replica handles at a time; default 4. */
  concurrency?: number | null | undefined;
  /** A request that is not answered within so many ms gets 504; default 30,000. */
  deadlineMs?: number | null | undefined;
  /** Host names that lead here, besides the path. */
  hosts?: Array<string> | null | undefined;
  /** The one other system whose wish this is: from then on nobody changes it without naming it. */
  manager?: string | null | undefined;
  /** Never more replicas, both sides of a rollout counted; default of the project. */
  maxReplicas?: number | null | undefined;
  /** Never dearer, in USD per hour, both sides of a rollout counted; default of the project. */
  maxSpendPerHour?: string | null | undefined;
  /** Name of the model in the project. */
  model: string;
  /** Number of the version; without it and `alias` the newest. */
  modelVersion?: number | null | undefined;
  /** A DNS label, unique in the project; also its model name in the inference protocols. */
  name: string;
  /** What else is allowed, as a whole; an empty one takes it back. */
  policy?: PlacementPolicyInput | null | undefined;
  /** Pool on clusters that are named without one; default: their default one. */
  pool?: string | null | undefined;
  /** Where a quota is short, replicas of lower priority give way, down to one each; default NORMAL. */
  priority?: DeploymentPriority | null | undefined;
  /** The project. */
  project: ProjectBy;
  /** Requests that may wait for a free replica, one more gets 429; default 100. */
  queueLimit?: number | null | undefined;
  /** A replica that is not ready within so many ms has failed; default 120,000. */
  readinessTimeoutMs?: number | null | undefined;
  /** Allowed regions, `provider/region`, `*` for any (`aws/*`); default of the installation. */
  regions?: Array<string> | null | undefined;
  /** Replicas; 0 = hibernated; default 1. */
  replicas?: number | null | undefined;
  /** Instead of replicas: as many as carry so many requests per second, on the accelerator where that costs least in all. The version must say what one replica carries (`carries`). */
  requestsPerSecond?: number | null | undefined;
  /** What one replica needs; default: what the version says. */
  resources?: ResourcesInput | null | undefined;
  /** Any request may be sent twice; default false. */
  retryable?: boolean | null | undefined;
};

/** What can be done with a deployment. */
export type DeploymentAction =
  /** `deleteDeployment`. */
  | 'DELETE'
  /** `deploy`. */
  | 'DEPLOY'
  /** `rollback`. */
  | 'ROLLBACK'
  /** `scaleDeployment`. */
  | 'SCALE'
  /** `setTraffic`. */
  | 'SET_TRAFFIC';

/** Names one deployment. */
export type DeploymentBy =
  {   /** Global id. */
  id: string | number; path?: never; }
  |  { id?: never;   /** `team/project/deployment`. */
  path: string; };

/** Where a deployment stands, in one word; the conditions say why. */
export type DeploymentPhase =
  /** It serves, but not as wished. */
  | 'DEGRADED'
  /** Being drained and given up. */
  | 'DELETING'
  /** On its way to what was wished. */
  | 'DEPLOYING'
  /** It does not serve. */
  | 'FAILED'
  /** Scaled to 0 replicas on purpose. */
  | 'HIBERNATED'
  /** Nobody has looked at it yet. */
  | 'PENDING'
  /** As wished. */
  | 'READY';

/** Whose replicas give way where a quota is short. */
export type DeploymentPriority =
  /** Those of all others do first. */
  | 'HIGH'
  /** First; where nodes are short, too. */
  | 'LOW'
  /** Before those of HIGH ones. */
  | 'NORMAL';

/** A variable of a replica. */
export type EnvironmentVariableInput = {
  /** Letters, digits and "_". */
  name: string;
  /** Value; readable by everybody who may read the model. */
  value: string;
};

/** What to see of what you may see; left out = all. */
export type EventFilter = {
  /** Only what concerns this deployment: `team/project/name` or its global id. */
  deployment?: string | null | undefined;
  /** Only what concerns this project: `team/project` or its global id. */
  project?: string | null | undefined;
  /** Severities. */
  severities?: Array<Severity> | null | undefined;
  /** Types; one that ends with a dot is a prefix: `rollout.` */
  types?: Array<string> | null | undefined;
};

/** Why events are missing. */
export type GapReason =
  /** They are older than the log keeps. */
  | 'PRUNED'
  /** The database was restored to a time before them. */
  | 'RESTORED';

/** A role on the platform (neither given), a team or a project. */
export type GrantInput = {
  /** One project of it. */
  project?: ProjectBy | null | undefined;
  /** The role. */
  role: Role;
  /** The team. */
  team?: TeamBy | null | undefined;
};

/** A kubeconfig by reference. */
export type KubeconfigInput = {
  /** Context in it; default: its current one. */
  context?: string | null | undefined;
  /** Absolute path of a file that every control plane can read. */
  file: string;
};

/** Where a version comes from. */
export type LineageInput = {
  /** The training run that made it. */
  runId?: string | null | undefined;
  /** Where its code is, an http(s) URL. */
  sourceUrl?: string | null | undefined;
};

/** Names one model. */
export type ModelBy =
  {   /** Global id. */
  id: string | number; path?: never; }
  |  { id?: never;   /** `team/project/model`. */
  path: string; };

/** How a replica of a version is started. */
export type ModelFormat =
  /** A container image. */
  | 'CONTAINER'
  /** An ONNX file in the built-in model server. */
  | 'ONNX'
  /** A command on the node. */
  | 'PROCESS';

/** A label of nodes. */
export type NodeLabelInput = {
  /** Key. */
  key: string;
  /** Value. */
  value: string;
};

/** Whether a node runs what it should. */
export type NodeReadiness =
  /** It says that it does not. */
  | 'NOT_READY'
  /** It does. */
  | 'READY'
  /** Nobody hears of it; it may run on. */
  | 'UNKNOWN';

/** Which offerings; all that are given must hold. */
export type OfferingFilter = {
  /** With one of these accelerators. */
  acceleratorModels?: Array<string> | null | undefined;
  /** Of one of these architectures. */
  architectures?: Array<string> | null | undefined;
  /** Rented in one of these ways. */
  capacityTypes?: Array<CapacityType> | null | undefined;
  /** Of one of these instance types. */
  instanceTypes?: Array<string> | null | undefined;
  /** At most so many USD per hour. */
  maxPricePerHour?: string | null | undefined;
  /** With at least so many thousandths of a CPU. */
  minCpuMilli?: number | null | undefined;
  /** With at least so much memory, in MiB. */
  minMemoryMib?: number | null | undefined;
  /** Of one of these providers. */
  providers?: Array<string> | null | undefined;
  /** In one of these regions, `provider/region`. */
  regions?: Array<string> | null | undefined;
};

/** Names one offering. */
export type OfferingKey = {
  /** How it is rented. */
  capacityType?: CapacityType;
  /** The provider's name of the instance type. */
  instanceType: string;
  /** aws, azure, gcp or your own. */
  provider: string;
  /** The provider's name of the region. */
  region: string;
  /** Left out where the price is the same in every zone. */
  zone?: string | null | undefined;
};

/** Order of offerings. */
export type OfferingOrder =
  /** By provider, region, zone, instance type and capacity type. */
  | 'KEY'
  /** Cheapest first, those without a price last. */
  | 'PRICE';

/** Who a person is to the configured issuer. */
export type OidcSubjectInput = {
  /** The issuer, as in the token's `iss`. */
  issuer: string;
  /** The subject, as in the token's `sub`. */
  subject: string;
};

/** Where and on what it may run, besides regions and capacity types. What cannot be had together is refused, by name. */
export type PlacementPolicyInput = {
  /** Deployments of the project: it goes to no region of any of them. */
  apart?: Array<string> | null | undefined;
  /** Whence requests come. */
  callers?: Array<CallersInput> | null | undefined;
  /** No caller may be further away than this round trip, in ms. */
  latencyMs?: number | null | undefined;
  /** At least so many percent of the replicas on capacity that is not taken away. */
  minOnDemandPercent?: number | null | undefined;
  /** Moved to a cheaper place by itself when that is worth it (saving, cooldown, disruption budget); default: it is proposed. */
  moves?: boolean | null | undefined;
  /** Deployments of the project: it goes to a region of one of them. */
  near?: Array<string> | null | undefined;
  /** What an hour without one of its replicas is worth, in USD; default 1. Interruptions that are to be expected count by it: the higher, the less spot; at 0 its price alone decides. */
  outageCostPerHour?: string | null | undefined;
  /** Regions that law or contract allows, whatever `regions` says; `*` for any. */
  residency?: Array<string> | null | undefined;
  /** At least so many zones share the replicas. */
  zones?: number | null | undefined;
};

/** One kind of capacity in a cluster. */
export type PoolInput = {
  /** How its capacity is rented. */
  capacityType?: CapacityType;
  /** A DNS label, unique in the cluster. */
  name: string;
  /** Labels that its nodes carry; none = any node. */
  nodeSelector?: Array<NodeLabelInput>;
  /** What a replica there is priced by; default: the cheapest offering that fits it. */
  offering?: OfferingKey | null | undefined;
};

/** A setting of a provider. */
export type PoolSettingInput = {
  /** Name. */
  name: string;
  /** Value. */
  value: string;
};

/** What a price agreement is. */
export type PriceAgreementKind =
  /** So many per cent off the list price. */
  | 'DISCOUNT'
  /** Machines of your own: what an hour of one costs. */
  | 'OWN_HARDWARE'
  /** Machines that are paid for whether they run or not. */
  | 'RESERVATION'
  /** An amount per hour that is paid whether it is used or not. */
  | 'SAVINGS_PLAN';

/** Why a price is not believed. */
export type PriceDoubt =
  /** Nothing is rented for nothing. */
  | 'AMOUNT_NOT_POSITIVE'
  /** What stands there is no amount. */
  | 'AMOUNT_UNREADABLE'
  /** It is not within 0.2 to 5 times the last good price. */
  | 'FAR_FROM_LAST'
  /** It is not within 0.2 to 5 times the list price. */
  | 'FAR_FROM_LIST'
  /** Another feed says something else. */
  | 'FEEDS_DISAGREE'
  /** It is the first price of this offering, and no second read has confirmed it yet. */
  | 'FIRST_SEEN'
  /** No machine costs so little, or so much. */
  | 'IMPLAUSIBLE'
  /** It changed, and is not newer than what was said before. */
  | 'NOT_NEWER'
  /** The source names it more than once, with different prices. */
  | 'SAYS_TWICE'
  /** It is a jump that no second read has confirmed yet. */
  | 'UNCONFIRMED_JUMP'
  /** Nobody knows what it is. */
  | 'UNKNOWN_OFFERING'
  /** It is not in USD. */
  | 'WRONG_CURRENCY'
  /** It is not per hour. */
  | 'WRONG_UNIT';

/** What kind of caller it is. */
export type PrincipalKind =
  /** A person. */
  | 'PERSON'
  /** A router of this installation. */
  | 'ROUTER'
  /** A program. */
  | 'SERVICE_ACCOUNT'
  /** A replica that fetches its artifact. */
  | 'WORKLOAD';

/** A command that serves HTTP. */
export type ProcessInput = {
  /** Program and arguments. */
  command: Array<string>;
  /** Variables of each replica. */
  environment?: Array<EnvironmentVariableInput> | null | undefined;
  /** Path that answers 2xx once it is ready. */
  healthPath?: string;
  /** The port that it listens on; a process is told by PORT. */
  port?: number;
  /** What it speaks. */
  protocol?: Protocol;
};

/** Names one project. */
export type ProjectBy =
  {   /** Global id. */
  id: string | number; path?: never; }
  |  { id?: never;   /** `team/project`. */
  path: string; };

/** What a replica speaks. */
export type Protocol =
  /** Any HTTP; requests are not repeated unless their method is safe. */
  | 'HTTP'
  /** Open Inference Protocol v2. */
  | 'OIP'
  /** The OpenAI API. */
  | 'OPENAI';

/** What a person says of a price that is not believed. */
export type QuarantineDecision =
  /** It is right: it counts from now on. */
  | 'ACCEPT'
  /** It is wrong: the last good price stands until the feed says something else. */
  | 'DISMISS';

/** What became of a price that was not believed. */
export type QuarantineState =
  /** Somebody believed it all the same. */
  | 'ACCEPTED'
  /** Somebody said that the last good price stands. */
  | 'DISMISSED'
  /** It waits for a person, or for the feed to think better of it. */
  | 'OPEN'
  /** The feed says something else now. */
  | 'WITHDRAWN';

/** What a rebuild does about one workload. */
export type RebuildActionKind =
  /** The database cannot explain it; it is left as it is until `approveRemovals`. */
  | 'HOLD'
  /** It is as told; it is told again, which changes nothing. */
  | 'KEEP'
  /** It is not there. */
  | 'MAKE'
  /** Nobody wishes it. */
  | 'REMOVE'
  /** The cluster knows an older wish, or what is there is not as it was told. */
  | 'UPDATE';

/** Which cluster to bring back. */
export type RebuildClusterInput = {
  /** Global id of the cluster. */
  cluster: string | number;
};

/** A Kubernetes cluster. */
export type RegisterClusterInput = {
  /** How the control plane gets in. */
  access: ClusterAccessInput;
  /** Where machines may be rented for it: a deployment that names no cluster is placed there, and its pool is made. */
  capacitySources?: Array<CapacitySourceInput> | null | undefined;
  /** Image of the built-in model server, pinned by digest; without it no ONNX model runs there. */
  modelServerImage?: string | null | undefined;
  /** A DNS label, unique. */
  name: string;
  /** Namespaces of teams are `<prefix>-<team>`. It names the installation there: two on one cluster need two. */
  namespacePrefix?: string;
  /** Its pools; default: one named `default`, on any node. */
  pools?: Array<PoolInput> | null | undefined;
  /** Address blocks (CIDR) whence routers reach replicas. */
  routerCidrs?: Array<string>;
  /** Namespace of routers that run there; default: the system namespace. */
  routerNamespace?: string | null | undefined;
  /** Namespace of the installation's own objects. */
  systemNamespace?: string;
};

/** A new model. */
export type RegisterModelInput = {
  /** What it is for; at most 1,000 characters. */
  description?: string;
  /** A DNS label, unique in the project. */
  name: string;
  /** The project. */
  project: ProjectBy;
};

/** The next version: exactly one of artifactDigest, container and process. */
export type RegisterModelVersionInput = {
  /** Digest of an uploaded ONNX file. */
  artifactDigest?: string | null | undefined;
  /** What one replica of these resources carries, by accelerator: whoever deploys a throughput needs it. Default: nobody knows. */
  carries?: Array<ReplicaRateInput> | null | undefined;
  /** A container. */
  container?: ContainerInput | null | undefined;
  /** Where it comes from. */
  lineage?: LineageInput | null | undefined;
  /** The model. */
  model: ModelBy;
  /** A process. */
  process?: ProcessInput | null | undefined;
  /** What one replica needs unless the deployment says otherwise. */
  resources: ResourcesInput;
};

/** Which cluster to forget. */
export type RemoveClusterInput = {
  /** Global id of the cluster; nothing may be wished or left there. */
  cluster: string | number;
};

/** Ends an agreement now. */
export type RemovePriceAgreementInput = {
  /** Its name. */
  name: string;
};

/** What one replica carries on an accelerator, with the resources that are said beside it. */
export type ReplicaRateInput = {
  /** Short model name as in the price book; default: without one. */
  accelerator?: string | null | undefined;
  /** Requests per second, in steps of a thousandth. */
  requestsPerSecond: number;
};

/** What a replica does; every millisecond of its life is in exactly one state. */
export type ReplicaState =
  /** Finishing what it has. */
  | 'DRAINING'
  /** Ready for requests. */
  | 'SERVING'
  /** Before it was first ready. */
  | 'STARTING'
  /** Crashed, or not answering. */
  | 'UNREADY';

/** What one replica needs. */
export type ResourcesInput = {
  /** Accelerators, if it needs any. */
  accelerator?: AcceleratorInput | null | undefined;
  /** Thousandths of a CPU. */
  cpuMilli: number;
  /** Memory in MiB. */
  memoryMib: number;
};

/** Growth that was held for being too fast. */
export type ResumePoolGrowthInput = {
  /** Of all pools together, where that is held. */
  all?: boolean;
  /** Global id of the pool. */
  pool: string | number;
};

/** Share of traffic of one revision. */
export type RevisionWeightInput = {
  /** Number of the revision. */
  revision: number;
  /** Percent. */
  weight: number;
};

/** A token to revoke. */
export type RevokeTokenInput = {
  /** The token. */
  token: string | number;
};

/** What a grant lets somebody do. */
export type Role =
  /** Sends requests to models. */
  | 'INVOKER'
  /** Registers, deploys and invokes. */
  | 'OPERATOR'
  /** Everything, for every team. */
  | 'PLATFORM_ADMIN'
  /** Everything in a team, its members and tokens included. */
  | 'TEAM_ADMIN'
  /** Reads, costs included. */
  | 'VIEWER';

/** Where to go back to. */
export type RollbackInput = {
  /** Which deployment. */
  deployment: DeploymentBy;
  /** Number of the revision; default: the one before. */
  revision?: number | null | undefined;
};

/** How far a rollout is. */
export type RolloutState =
  /** Finished. */
  | 'DONE'
  /** All traffic has moved; the old revision finishes what it has. */
  | 'DRAINING'
  /** The first revision failed; there is nothing to go back to. */
  | 'FAILED'
  /** Back where it was. */
  | 'ROLLED_BACK'
  /** The new revision failed: traffic is as before, it finishes what it has. */
  | 'ROLLING_BACK'
  /** Traffic moves in steps. */
  | 'SHIFTING'
  /** The new revision gets ready; traffic is as before. */
  | 'STARTING'
  /** A newer wish took its place. */
  | 'SUPERSEDED';

/** How many replicas. */
export type ScaleDeploymentInput = {
  /** Which deployment. */
  deployment: DeploymentBy;
  /** Replicas of each revision that gets traffic; 0 = hibernated. */
  replicas: number;
};

/** Machines that are paid for whether they run or not: by their count (a reservation), or by an amount per hour (a savings plan). They become an offering of capacity type RESERVED. */
export type SetCommitmentInput = {
  /** USD per hour that are committed; it covers as many machines as it pays for whole. */
  committedPerHour?: string | null | undefined;
  /** How many machines are reserved; or `committedPerHour`. */
  count?: number | null | undefined;
  /** What they would be on demand. */
  covers: OfferingKey;
  /** In force from then on; left out = from now on. Never in the past. */
  from?: string | null | undefined;
  /** Its name; an agreement of this name and kind is replaced. */
  name: string;
  /** USD per hour of one machine under the commitment; what was paid in advance spread over its hours. */
  ratePerHour: string;
  /** And until then; left out = until it is removed. */
  until?: string | null | undefined;
};

/** So many per cent off the list price of whatever fits. Of several the largest counts. */
export type SetDiscountInput = {
  /** Only of what is rented in one of these ways. */
  capacityTypes?: Array<CapacityType> | null | undefined;
  /** In force from then on; left out = from now on. Never in the past. */
  from?: string | null | undefined;
  /** Only of these instance types; `*` stands for anything: `m5.*`. */
  instanceTypes?: string | null | undefined;
  /** Its name; an agreement of this name and kind is replaced. */
  name: string;
  /** Per cent off the list price, at most three decimals. */
  percent: string;
  /** Only of this provider. */
  provider?: string | null | undefined;
  /** Only in this region, by the provider's name. */
  region?: string | null | undefined;
  /** And until then; left out = until it is removed. */
  until?: string | null | undefined;
};

/** Where an alias points from now on. */
export type SetModelAliasInput = {
  /** The model. */
  model: ModelBy;
  /** A DNS label, unique in the model. */
  name: string;
  /** Number of the version. */
  version: number;
};

/** A machine of your own: it costs what it loses in value, its power and its place. */
export type SetOwnHardwareInput = {
  /** Accelerators, if it has any. */
  accelerator?: AcceleratorInput | null | undefined;
  /** amd64 or arm64. */
  architecture?: string;
  /** How many of them there are. */
  count?: number;
  /** Thousandths of a CPU. */
  cpuMilli: number;
  /** In force from then on; left out = from now on. Never in the past. */
  from?: string | null | undefined;
  /** USD per month for its place, its network and who looks after it. */
  hostingPerMonth?: string;
  /** What kind of machine it is. */
  instanceType: string;
  /** Memory in MiB. */
  memoryMib: number;
  /** Months that it is used for. */
  months: number;
  /** Its name; an agreement of this name and kind is replaced. */
  name: string;
  /** USD per kilowatt-hour. */
  perKilowattHour?: string;
  /** Whose it is: a name of your own, not that of a cloud. */
  provider: string;
  /** USD that one cost. */
  purchase: string;
  /** Where it stands. */
  region: string;
  /** USD that it will still be worth in the end. */
  residual?: string;
  /** And until then; left out = until it is removed. */
  until?: string | null | undefined;
  /** Power that it draws, cooling included, in watts. */
  watts?: number;
};

/** How a pool may scale. */
export type SetPoolScalingInput = {
  /** It never has more, at most 1,000. */
  maxNodes: number;
  /** It never has fewer nodes. */
  minNodes?: number;
  /** Global id of the pool. */
  pool: string | number;
  /** Which of the configured providers rents its machines. */
  provider: string;
  /** The provider's own settings; never a secret. `instanceType`, `region`, `zone`, `cpuMilli` and `memoryMib` say what a node is before there is one; after `idleSeconds` (600) without work a node is given back. */
  settings?: Array<PoolSettingInput>;
};

/** A price that counts instead of the observed one, from now on. */
export type SetPriceOverrideInput = {
  /** The offering. */
  offering: OfferingKey;
  /** USD per hour of the whole instance; null lets the observed price count again. */
  pricePerHour?: string | null | undefined;
};

/** How to share traffic. */
export type SetTrafficInput = {
  /** Which deployment. */
  deployment: DeploymentBy;
  /** They sum to 100; revisions left out get nothing. */
  weights: Array<RevisionWeightInput>;
};

/** How much attention an event wants. */
export type Severity =
  /** Somebody should look. */
  | 'ERROR'
  /** As intended. */
  | 'INFO'
  /** Not as intended, but dealt with. */
  | 'WARNING';

/** Names one team. */
export type TeamBy =
  {   /** Global id. */
  id: string | number; path?: never; }
  |  { id?: never;   /** Name. */
  path: string; };

/** A half-open range of time, `[from, to)`. */
export type TimeRange = {
  /** First instant of the range. */
  from: string;
  /** First instant after the range. */
  to: string;
};

/** What shall become of a registered cluster; what is left out stays as it is. */
export type UpdateClusterInput = {
  /** How the control plane gets in from now on. */
  access?: ClusterAccessInput | null | undefined;
  /** Where machines may be rented for it: all of them. */
  capacitySources?: Array<CapacitySourceInput> | null | undefined;
  /** Global id of the cluster. */
  cluster: string | number;
  /** Image of the built-in model server, pinned by digest; running replicas are replaced by ones of the new image. */
  modelServerImage?: string | null | undefined;
  /** Pools to be added, or changed where it has one of that name: its node selector (running replicas move) and, if given, its offering (for what is placed later). How its capacity is rented stays. */
  pools?: Array<PoolInput>;
  /** Names of pools to be taken out; nothing may be wished or left there. Rented machines are given back. */
  removePools?: Array<string>;
  /** Address blocks (CIDR) whence routers reach replicas: all of them. */
  routerCidrs?: Array<string> | null | undefined;
  /** Namespace of routers that run there. */
  routerNamespace?: string | null | undefined;
};

/** Why a mutation was refused. */
export type UserErrorCode =
  /** The name is taken. */
  | 'ALREADY_EXISTS'
  /** It changed since you looked: read again. */
  | 'CONFLICT'
  /** The bytes do not have the digest that was promised. */
  | 'DIGEST_MISMATCH'
  /** A field is wrong; `path` names it and `message` the mend. */
  | 'INVALID_INPUT'
  /** The same request is still running: repeat it later with the same key. */
  | 'IN_PROGRESS'
  /** A fixed limit would be exceeded. */
  | 'LIMIT_EXCEEDED'
  /** It does not exist, or you may not see it. */
  | 'NOT_FOUND'
  /** No offering or pool fits; the plan says why each was rejected. */
  | 'NO_CAPACITY'
  /** The cluster has no container engine. */
  | 'NO_CONTAINER_RUNTIME'
  /** Its present state does not allow this; see `allowedActions`. */
  | 'PRECONDITION_FAILED'
  /** A quota of the team or project would be exceeded. */
  | 'QUOTA_EXCEEDED'
  /** Another control plane has taken over. */
  | 'STALE_EPOCH'
  /** This installation cannot do that. */
  | 'UNSUPPORTED';

export type RollbackMutationVariables = Exact<{
  input: RollbackInput;
  dryRun: boolean;
  planHash?: string | null | undefined;
  idempotencyKey?: string | null | undefined;
}>;


export type RollbackMutation = { rollback: { deployment: { path: string, generation: number } | null, decision: { reasons: Array<string> } | null, plan: { hash: string, expiresAt: string | null, peakReplicas: number, risks: Array<string>, actions: Array<{ kind: string, message: string }>, costDelta: { amount: string }, monthlyEstimate: { amount: string } } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type ScaleMutationVariables = Exact<{
  input: ScaleDeploymentInput;
  dryRun: boolean;
  planHash?: string | null | undefined;
  idempotencyKey?: string | null | undefined;
}>;


export type ScaleMutation = { scaleDeployment: { deployment: { path: string, generation: number } | null, decision: { reasons: Array<string> } | null, plan: { hash: string, expiresAt: string | null, peakReplicas: number, risks: Array<string>, actions: Array<{ kind: string, message: string }>, costDelta: { amount: string }, monthlyEstimate: { amount: string } } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type SetTrafficMutationVariables = Exact<{
  input: SetTrafficInput;
  dryRun: boolean;
  planHash?: string | null | undefined;
  idempotencyKey?: string | null | undefined;
}>;


export type SetTrafficMutation = { setTraffic: { deployment: { path: string, generation: number } | null, decision: { reasons: Array<string> } | null, plan: { hash: string, expiresAt: string | null, peakReplicas: number, risks: Array<string>, actions: Array<{ kind: string, message: string }>, costDelta: { amount: string }, monthlyEstimate: { amount: string } } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type DeleteDeploymentMutationVariables = Exact<{
  input: DeleteDeploymentInput;
  dryRun: boolean;
  planHash?: string | null | undefined;
  idempotencyKey?: string | null | undefined;
}>;


export type DeleteDeploymentMutation = { deleteDeployment: { deletedId: string | null, deployment: { path: string, generation: number } | null, decision: { reasons: Array<string> } | null, plan: { hash: string, expiresAt: string | null, peakReplicas: number, risks: Array<string>, actions: Array<{ kind: string, message: string }>, costDelta: { amount: string }, monthlyEstimate: { amount: string } } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type CloudsQueryVariables = Exact<{ [key: string]: never; }>;


export type CloudsQuery = { clouds: Array<{ name: string, kind: string, rentsMachines: boolean, hasBills: boolean, feed: { regions: Array<string>, everySeconds: number, readAt: string | null, staleSince: string | null, error: string | null } | null }> };

export type CheckCloudsQueryVariables = Exact<{
  name?: string | null | undefined;
}>;


export type CheckCloudsQuery = { clouds: Array<{ name: string, check: Array<{ aspect: CloudAspect, status: CloudFindingStatus, message: string }> }> };

export type CloudBillQueryVariables = Exact<{
  cloud: string;
  range: TimeRange;
}>;


export type CloudBillQuery = { cloudBill: { problem: string | null, isFinal: boolean, unreadableCount: number, billedCost: { amount: string } | null, effectiveCost: { amount: string } | null, shares: Array<{ service: string, region: string | null, lines: number, billedCost: { amount: string }, effectiveCost: { amount: string } }>, unreadable: Array<{ ref: string, reason: string }> } | null };

export type RegisterClusterMutationVariables = Exact<{
  input: RegisterClusterInput;
  idempotencyKey?: string | null | undefined;
}>;


export type RegisterClusterMutation = { registerCluster: { cluster: { id: string, name: string } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type UpdateClusterMutationVariables = Exact<{
  input: UpdateClusterInput;
  idempotencyKey?: string | null | undefined;
}>;


export type UpdateClusterMutation = { updateCluster: { cluster: { id: string, name: string, version: number } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type SetPoolScalingMutationVariables = Exact<{
  input: SetPoolScalingInput;
  idempotencyKey?: string | null | undefined;
}>;


export type SetPoolScalingMutation = { setPoolScaling: { pool: { id: string, name: string, scaling: { provider: string, minNodes: number, maxNodes: number, version: number } | null } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type ResumePoolGrowthMutationVariables = Exact<{
  input: ResumePoolGrowthInput;
  idempotencyKey?: string | null | undefined;
}>;


export type ResumePoolGrowthMutation = { resumePoolGrowth: { pool: { id: string, name: string } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type ShowClusterQueryVariables = Exact<{
  id: string | number;
  after?: string | null | undefined;
}>;


export type ShowClusterQuery = { node:
    | { __typename: 'Cluster', id: string, name: string, kind: ClusterKind, cordoned: boolean, version: number, createdAt: string, config: { namespacePrefix: string, systemNamespace: string, modelServerImage: string | null, routerCidrs: Array<string>, routerNamespace: string, access: { inCluster: boolean, file: string | null, context: string | null } } | null, status: { observedAt: string | null, conditions: Array<{ type: string, status: string, reason: string, message: string, lastTransitionTime: string }> }, heldRemovals: { digest: string, count: number } | null, capacitySources: Array<{ provider: string, region: string, zones: Array<string>, maxNodes: number }>, pools: Array<{ name: string, capacityType: CapacityType, nodeSelector: Array<{ key: string, value: string }>, scaling: { provider: string, minNodes: number, maxNodes: number, desiredNodes: number | null, conditions: Array<{ type: string, status: string, message: string }> } | null }>, leavingPools: Array<{ name: string, capacityType: CapacityType, scaling: { desiredNodes: number | null, conditions: Array<{ status: string, message: string }> } | null }>, nodes: { nodes: Array<{ name: string, readiness: NodeReadiness, schedulable: boolean, notice: string | null, instanceType: string | null, capacityType: CapacityType, pods: number, pricePerHour: { amount: string } | null }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } }
    | { __typename: 'ClusterNode' }
    | { __typename: 'Decision' }
    | { __typename: 'Deployment' }
    | { __typename: 'Model' }
    | { __typename: 'ModelVersion' }
    | { __typename: 'Offering' }
    | { __typename: 'Pool' }
    | { __typename: 'PriceAgreement' }
    | { __typename: 'PriceFeed' }
    | { __typename: 'Principal' }
    | { __typename: 'Project' }
    | { __typename: 'QuarantinedPrice' }
    | { __typename: 'Replica' }
    | { __typename: 'Revision' }
    | { __typename: 'Team' }
    | { __typename: 'Token' }
   | null };

export type ClustersQueryVariables = Exact<{
  after?: string | null | undefined;
}>;


export type ClustersQuery = { clusters: { nodes: Array<{ id: string, name: string, kind: ClusterKind, cordoned: boolean, version: number, pools: Array<{ name: string, capacityType: CapacityType }>, status: { observedAt: string | null, conditions: Array<{ type: string, status: string, reason: string, message: string }> }, heldRemovals: { digest: string, count: number } | null }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type NamedClusterQueryVariables = Exact<{
  name: string;
}>;


export type NamedClusterQuery = { cluster: { id: string, pools: Array<{ id: string, name: string }> } | null };

export type CordonClusterMutationVariables = Exact<{
  input: CordonClusterInput;
  idempotencyKey?: string | null | undefined;
}>;


export type CordonClusterMutation = { cordonCluster: { cluster: { id: string, name: string, cordoned: boolean } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type DeclareClusterLostMutationVariables = Exact<{
  input: DeclareClusterLostInput;
  idempotencyKey?: string | null | undefined;
}>;


export type DeclareClusterLostMutation = { declareClusterLost: { cluster: { id: string, name: string, lostAt: string | null } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type RemoveClusterMutationVariables = Exact<{
  input: RemoveClusterInput;
  idempotencyKey?: string | null | undefined;
}>;


export type RemoveClusterMutation = { removeCluster: { removedId: string | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type RebuildClusterMutationVariables = Exact<{
  input: RebuildClusterInput;
  dryRun: boolean;
  idempotencyKey?: string | null | undefined;
}>;


export type RebuildClusterMutation = { rebuildCluster: { cluster: { id: string, name: string } | null, actions: Array<{ kind: RebuildActionKind, message: string }> | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type ApproveRemovalsMutationVariables = Exact<{
  input: ApproveRemovalsInput;
  idempotencyKey?: string | null | undefined;
}>;


export type ApproveRemovalsMutation = { approveRemovals: { cluster: { id: string, name: string } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type WhoAmIQueryVariables = Exact<{ [key: string]: never; }>;


export type WhoAmIQuery = { viewer: { actions: Array<string>, principal: { id: string, name: string, kind: PrincipalKind }, grants: Array<{ role: Role, scope: string }> } };

export type CostsQueryVariables = Exact<{
  range: TimeRange;
  groupBy: Array<CostDimension> | CostDimension;
  step?: CostStep | null | undefined;
  filter?: CostFilter | null | undefined;
  spreading?: CostSpreading;
}>;


export type CostsQuery = { costs: { isEstimate: boolean, reconciledUntil: string, unpricedMs: number, total: { amount: string }, estimated: { amount: string }, effectiveRange: { from: string, to: string }, rows: Array<{ period: string | null, requests: number, errors: number, key: Array<{ dimension: CostDimension, value: string }>, cost: { amount: string }, busy: { amount: string }, idle: { amount: string }, starting: { amount: string }, draining: { amount: string }, unready: { amount: string }, nodeIdle: { amount: string }, shared: { amount: string }, unattributed: { amount: string }, unitCost: { amount: string } | null }> } };

export type DeploymentIdQueryVariables = Exact<{
  path: string;
}>;


export type DeploymentIdQuery = { deployment: { id: string } | null };

export type DeployMutationVariables = Exact<{
  input: DeployInput;
  dryRun: boolean;
  planHash?: string | null | undefined;
  expectedVersion?: number | null | undefined;
  placeAnew: boolean;
  idempotencyKey?: string | null | undefined;
}>;


export type DeployMutation = { deploy: { deployment: { id: string, path: string, generation: number, endpoint: { url: string }, rollout: { startedAt: string, endedAt: string | null } | null } | null, plan: { hash: string, expiresAt: string | null, peakReplicas: number, risks: Array<string>, why: string, wouldChange: Array<string>, places: Array<{ cluster: string, pool: string, offering: string, zone: string | null, replicas: number, machines: number | null, hourly: { amount: string } }>, actions: Array<{ kind: string, message: string }>, candidates: Array<{ priceSource: string | null, replicas: number | null, chosen: boolean, offering: { provider: string, region: string, instanceType: string, capacityType: CapacityType }, hourly: { amount: string } | null, monthly: { amount: string } | null, score: { amount: string } | null, rejectedBecause: { code: string, message: string } | null }>, costDelta: { amount: string }, monthlyEstimate: { amount: string } } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type DeploymentStatusQueryVariables = Exact<{
  path: string;
}>;


export type DeploymentStatusQuery = { deployment: { generation: number, status: { phase: DeploymentPhase, observedGeneration: number, conditions: Array<{ type: string, status: string, message: string }> }, rollout: { state: RolloutState, reason: string | null, startedAt: string } | null } | null };

export type EventsQueryVariables = Exact<{
  after?: string | null | undefined;
  filter?: EventFilter | null | undefined;
  first: number;
  last?: number | null | undefined;
}>;


export type EventsQuery = { events: { cursor: string, hasMore: boolean, events: Array<{ cursor: string, at: string, type: string, severity: Severity, principal: string, subjectKind: string, subjectId: string, message: string, before: unknown, after: unknown }>, gap: { reason: GapReason, cursor: string } | null } };

export type FollowEventsSubscriptionVariables = Exact<{
  after?: string | null | undefined;
  filter?: EventFilter | null | undefined;
}>;


export type FollowEventsSubscription = { events:
    | { __typename: 'Event', cursor: string, at: string, type: string, severity: Severity, principal: string, subjectKind: string, subjectId: string, message: string, before: unknown, after: unknown }
    | { __typename: 'Gap', reason: GapReason, cursor: string }
    | { __typename: 'Heartbeat', cursor: string }
   };

export type TeamsQueryVariables = Exact<{
  after?: string | null | undefined;
}>;


export type TeamsQuery = { teams: { nodes: Array<{ name: string, projects: { nodes: Array<{ path: string, maxReplicas: number, maxSpendPerHour: { amount: string } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type TeamProjectsQueryVariables = Exact<{
  team: string;
  after?: string | null | undefined;
}>;


export type TeamProjectsQuery = { team: { projects: { nodes: Array<{ path: string, maxReplicas: number, maxSpendPerHour: { amount: string } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } } | null };

export type CreateTeamMutationVariables = Exact<{
  input: CreateTeamInput;
  idempotencyKey?: string | null | undefined;
}>;


export type CreateTeamMutation = { createTeam: { team: { id: string, name: string } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type CreateProjectMutationVariables = Exact<{
  input: CreateProjectInput;
  idempotencyKey?: string | null | undefined;
}>;


export type CreateProjectMutation = { createProject: { project: { id: string, path: string } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type PrincipalsQueryVariables = Exact<{
  after?: string | null | undefined;
}>;


export type PrincipalsQuery = { principals: { nodes: Array<{ id: string, name: string, kind: PrincipalKind, grants: Array<{ role: Role, scope: string }> }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type CreatePrincipalMutationVariables = Exact<{
  input: CreatePrincipalInput;
  idempotencyKey?: string | null | undefined;
}>;


export type CreatePrincipalMutation = { createPrincipal: { principal: { id: string, name: string } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type TokensQueryVariables = Exact<{
  after?: string | null | undefined;
}>;


export type TokensQuery = { tokens: { nodes: Array<{ id: string, name: string, hint: string, principalId: string, createdAt: string, expiresAt: string | null, revokedAt: string | null }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type CreateTokenMutationVariables = Exact<{
  input: CreateTokenInput;
  idempotencyKey?: string | null | undefined;
}>;


export type CreateTokenMutation = { createToken: { secret: string | null, token: { id: string, name: string, expiresAt: string | null } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type RevokeTokenMutationVariables = Exact<{
  input: RevokeTokenInput;
  idempotencyKey?: string | null | undefined;
}>;


export type RevokeTokenMutation = { revokeToken: { token: { id: string, name: string, revokedAt: string | null } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type EndpointQueryVariables = Exact<{
  path: string;
}>;


export type EndpointQuery = { deployment: { name: string, endpoint: { url: string } } | null };

export type DeploymentsQueryVariables = Exact<{
  after?: string | null | undefined;
}>;


export type DeploymentsQuery = { deployments: { nodes: Array<{ path: string, wishedReplicas: number, status: { phase: DeploymentPhase }, revision: { number: number, modelVersion: { number: number, model: { path: string } } | null } | null, replicas: Array<{ state: ReplicaState }>, monthlyEstimate: { amount: string } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type DescribeDeploymentQueryVariables = Exact<{
  path: string;
  events?: EventFilter | null | undefined;
  day: TimeRange;
}>;


export type DescribeDeploymentQuery = { deployment: { id: string, path: string, version: number, generation: number, wishedReplicas: number, requestsPerSecond: number | null, maxReplicas: number, maxSpendPerHour: { amount: string }, endpoint: { url: string, protocols: Array<Protocol> }, monthlyEstimate: { amount: string }, status: { phase: DeploymentPhase, observedGeneration: number, conditions: Array<{ type: string, status: string, reason: string, message: string, lastTransitionTime: string }> }, revision: { number: number, modelVersion: { number: number, model: { path: string } } | null } | null, rollout: { state: RolloutState, toRevision: number, reason: string | null, startedAt: string, endedAt: string | null } | null, traffic: { weights: Array<{ revision: number, weight: number }> }, replicas: Array<{ id: string, state: ReplicaState, cluster: string | null, address: string | null, restarts: number, message: string, revision: { number: number } | null }>, costs: { isEstimate: boolean, total: { amount: string } }, decisions: Array<{ kind: DecisionKind, at: string, reasons: Array<string> }>, allowedActions: Array<{ action: DeploymentAction, allowed: boolean, reason: string | null }> } | null, events: { events: Array<{ cursor: string, at: string, type: string, severity: Severity, message: string }> } };

export type LogsQueryVariables = Exact<{
  path: string;
  lines: number;
}>;


export type LogsQuery = { deployment: { replicas: Array<{ id: string, revision: { number: number } | null, logs: { lines: Array<{ at: string, stream: string, text: string }> } }> } | null };

export type PriceAgreementsQueryVariables = Exact<{ [key: string]: never; }>;


export type PriceAgreementsQuery = { priceAgreements: Array<{ name: string, kind: PriceAgreementKind, covers: string, percent: string | null, count: number | null, from: string, until: string | null, version: number, perHour: { amount: string } | null }> };

export type AgreedFragment = { name: string, kind: PriceAgreementKind, covers: string, percent: string | null, count: number | null, from: string, until: string | null, version: number, perHour: { amount: string } | null };

export type SetDiscountMutationVariables = Exact<{
  input: SetDiscountInput;
  idempotencyKey?: string | null | undefined;
}>;


export type SetDiscountMutation = { setDiscount: { agreement: { name: string, kind: PriceAgreementKind, covers: string, percent: string | null, count: number | null, from: string, until: string | null, version: number, perHour: { amount: string } | null } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type SetCommitmentMutationVariables = Exact<{
  input: SetCommitmentInput;
  idempotencyKey?: string | null | undefined;
}>;


export type SetCommitmentMutation = { setCommitment: { agreement: { name: string, kind: PriceAgreementKind, covers: string, percent: string | null, count: number | null, from: string, until: string | null, version: number, perHour: { amount: string } | null } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type SetOwnHardwareMutationVariables = Exact<{
  input: SetOwnHardwareInput;
  idempotencyKey?: string | null | undefined;
}>;


export type SetOwnHardwareMutation = { setOwnHardware: { agreement: { name: string, kind: PriceAgreementKind, covers: string, percent: string | null, count: number | null, from: string, until: string | null, version: number, perHour: { amount: string } | null } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type RemovePriceAgreementMutationVariables = Exact<{
  input: RemovePriceAgreementInput;
  idempotencyKey?: string | null | undefined;
}>;


export type RemovePriceAgreementMutation = { removePriceAgreement: { agreement: { name: string, kind: PriceAgreementKind, covers: string, percent: string | null, count: number | null, from: string, until: string | null, version: number, perHour: { amount: string } | null } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type QuarantinedPricesQueryVariables = Exact<{
  feed?: string | null | undefined;
  after?: string | null | undefined;
}>;


export type QuarantinedPricesQuery = { quarantinedPrices: { nodes: Array<{ id: string, feed: string, offeringKey: string, said: string, unit: string, currency: string, code: PriceDoubt, message: string, observedAt: string, isAcceptable: boolean }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type DecideQuarantinedMutationVariables = Exact<{
  input: DecideQuarantinedPriceInput;
  idempotencyKey?: string | null | undefined;
}>;


export type DecideQuarantinedMutation = { decideQuarantinedPrice: { price: { offeringKey: string, state: QuarantineState } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type PricesQueryVariables = Exact<{
  filter?: OfferingFilter | null | undefined;
  orderBy: OfferingOrder;
  first: number;
}>;


export type PricesQuery = { offerings: { nodes: Array<{ provider: string, region: string, zone: string | null, instanceType: string, capacityType: CapacityType, cpuMilli: number, memoryMib: number | null, interruptionBand: string | null, accelerator: { model: string, countMilli: number, memoryMib: number } | null, price: { source: string, isStale: boolean, perHour: { amount: string }, listPerHour: { amount: string } } | null }> } };

export type PriceHistoryQueryVariables = Exact<{
  offering: OfferingKey;
  range: TimeRange;
}>;


export type PriceHistoryQuery = { priceHistory: Array<{ from: string, to: string, price: { source: string, observedAt: string, perHour: { amount: string }, listPerHour: { amount: string } } }> };

export type SetPriceMutationVariables = Exact<{
  input: SetPriceOverrideInput;
  idempotencyKey?: string | null | undefined;
}>;


export type SetPriceMutation = { setPriceOverride: { offering: { price: { source: string, perHour: { amount: string } } | null } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type PriceFeedsQueryVariables = Exact<{ [key: string]: never; }>;


export type PriceFeedsQuery = { priceFeeds: Array<{ name: string, isConfigured: boolean, intervalSeconds: number, attemptedAt: string | null, readAt: string | null, rows: number, quarantined: number, error: string | null, staleSince: string | null, unreadable: Array<{ ref: string, reason: string }> }> };

export type ModelsQueryVariables = Exact<{
  after?: string | null | undefined;
}>;


export type ModelsQuery = { models: { nodes: Array<{ path: string, description: string, aliases: Array<{ name: string, version: { number: number } }>, versions: { nodes: Array<{ number: number, format: ModelFormat }> } }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type VersionsQueryVariables = Exact<{
  path: string;
  after?: string | null | undefined;
}>;


export type VersionsQuery = { model: { versions: { nodes: Array<{ id: string, number: number, format: ModelFormat, createdAt: string, archivedAt: string | null, artifact: { digest: string, sizeBytes: number } | null, lineage: { runId: string | null, sourceUrl: string | null } | null }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } } | null };

export type RegisterModelMutationVariables = Exact<{
  input: RegisterModelInput;
  idempotencyKey?: string | null | undefined;
}>;


export type RegisterModelMutation = { registerModel: { model: { path: string } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type RegisterModelVersionMutationVariables = Exact<{
  input: RegisterModelVersionInput;
  idempotencyKey?: string | null | undefined;
}>;


export type RegisterModelVersionMutation = { registerModelVersion: { modelVersion: { number: number, artifact: { digest: string } | null, signature: { inputs: Array<{ name: string, datatype: string, shape: Array<number> }>, outputs: Array<{ name: string, datatype: string, shape: Array<number> }> } | null } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type SetModelAliasMutationVariables = Exact<{
  input: SetModelAliasInput;
  idempotencyKey?: string | null | undefined;
}>;


export type SetModelAliasMutation = { setModelAlias: { alias: { name: string, version: { number: number } } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type ArchiveModelVersionMutationVariables = Exact<{
  input: ArchiveModelVersionInput;
  idempotencyKey?: string | null | undefined;
}>;


export type ArchiveModelVersionMutation = { archiveModelVersion: { modelVersion: { number: number, archivedAt: string | null } | null, userErrors: Array<{ code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null }> } };

export type AliasHistoryQueryVariables = Exact<{
  path: string;
}>;


export type AliasHistoryQuery = { model: { aliases: Array<{ name: string, version: { number: number }, history: Array<{ validFrom: string, version: { number: number } | null }> }> } | null };

export type WhyDeploymentQueryVariables = Exact<{
  path: string;
  events?: EventFilter | null | undefined;
}>;


export type WhyDeploymentQuery = { deployment: { id: string, path: string, status: { phase: DeploymentPhase }, decisions: Array<{ kind: DecisionKind, at: string, principal: string, reasons: Array<string>, candidates: unknown, rejected: unknown, chosen: unknown, expectedHourly: { amount: string } | null }> } | null, events: { events: Array<{ at: string, type: string, message: string }> } };

export type DemoLookQueryVariables = Exact<{
  team: string;
  project: string;
  model: string;
  deployment: string;
}>;


export type DemoLookQuery = { team: { id: string } | null, project: { id: string } | null, model: { versions: { nodes: Array<{ number: number }> } } | null, deployment: { status: { phase: DeploymentPhase } } | null };

export type DemoTeamMutationVariables = Exact<{
  name: string;
}>;


export type DemoTeamMutation = { createTeam: { userErrors: Array<{ code: UserErrorCode, message: string }> } };

export type DemoProjectMutationVariables = Exact<{
  team: string;
  name: string;
}>;


export type DemoProjectMutation = { createProject: { userErrors: Array<{ code: UserErrorCode, message: string }> } };

export type DemoModelMutationVariables = Exact<{
  project: string;
  name: string;
}>;


export type DemoModelMutation = { registerModel: { userErrors: Array<{ code: UserErrorCode, message: string }> } };

export type DemoVersionMutationVariables = Exact<{
  model: string;
  digest: string;
}>;


export type DemoVersionMutation = { registerModelVersion: { userErrors: Array<{ code: UserErrorCode, message: string }> } };

export type DemoDeploymentMutationVariables = Exact<{
  project: string;
  name: string;
}>;


export type DemoDeploymentMutation = { deploy: { userErrors: Array<{ code: UserErrorCode, message: string }> } };

export type DemoReadyQueryVariables = Exact<{
  path: string;
  range: TimeRange;
}>;


export type DemoReadyQuery = { deployment: { status: { phase: DeploymentPhase, conditions: Array<{ status: string, message: string }> }, costs: { total: { amount: string } } } | null };

export type FleetPlanQueryVariables = Exact<{
  project?: ProjectBy | null | undefined;
  exact: boolean;
}>;


export type FleetPlanQuery = { fleetPlan: { method: string, shortOf: string | null, machines: Array<{ offering: string, count: number }>, seats: Array<{ deployment: string, offering: string, replicas: number }>, unplaced: Array<{ deployment: string, replicas: number, reason: string }>, hourly: { amount: string }, hourlyNow: { amount: string }, lowerBound: { amount: string } | null } | null };

export type PlanOfChangeFragment = { hash: string, expiresAt: string | null, peakReplicas: number, risks: Array<string>, actions: Array<{ kind: string, message: string }>, costDelta: { amount: string }, monthlyEstimate: { amount: string } };

export type RefusalFragment = { code: UserErrorCode, message: string, path: Array<string> | null, hint: string | null };

export type SignedInQueryVariables = Exact<{ [key: string]: never; }>;


export type SignedInQuery = { viewer: { principal: { name: string } } };

export type RecentEventsQueryVariables = Exact<{
  last: number;
}>;


export type RecentEventsQuery = { events: { cursor: string, events: Array<{ __typename: 'Event', cursor: string, at: string, type: string, message: string, severity: Severity }> } };

export type LiveEventsSubscriptionVariables = Exact<{
  after?: string | null | undefined;
}>;


export type LiveEventsSubscription = { events:
    | { __typename: 'Event', cursor: string, at: string, type: string, message: string, severity: Severity }
    | { __typename: 'Gap', reason: GapReason, cursor: string }
    | { __typename: 'Heartbeat', cursor: string }
   };

export type DashboardQueryVariables = Exact<{
  range: TimeRange;
}>;


export type DashboardQuery = { deployments: { nodes: Array<{ id: string, path: string, endpoint: { url: string }, status: { phase: DeploymentPhase, conditions: Array<{ type: string, status: string, message: string }> }, revision: { number: number, modelVersion: { number: number, model: { name: string } } | null } | null, replicas: Array<{ id: string, state: ReplicaState }>, monthlyEstimate: { amount: string }, costs: { total: { amount: string }, rows: Array<{ requests: number }> } }>, pageInfo: { hasNextPage: boolean } }, costs: { isEstimate: boolean, total: { amount: string }, rows: Array<{ requests: number }> }, models: { nodes: Array<{ id: string, path: string, versions: { nodes: Array<{ number: number, format: ModelFormat, createdAt: string }> }, aliases: Array<{ name: string, version: { number: number } }> }>, pageInfo: { hasNextPage: boolean } } };

export type OperatorFindDeploymentQueryVariables = Exact<{
  path: string;
}>;


export type OperatorFindDeploymentQuery = { deployment: { id: string, manager: string | null, generation: number, wishedReplicas: number, endpoint: { url: string }, revision: { number: number } | null, monthlyEstimate: { amount: string }, replicas: Array<{ state: ReplicaState }>, status: { phase: DeploymentPhase, observedGeneration: number, conditions: Array<{ type: string, status: string, reason: string, message: string }> } } | null };

export type OperatorDeployMutationVariables = Exact<{
  input: DeployInput;
}>;


export type OperatorDeployMutation = { deploy: { userErrors: Array<{ code: UserErrorCode, message: string, hint: string | null }> } };

export type OperatorDeleteMutationVariables = Exact<{
  input: DeleteDeploymentInput;
}>;


export type OperatorDeleteMutation = { deleteDeployment: { userErrors: Array<{ code: UserErrorCode, message: string, hint: string | null }> } };

export type OperatorNewsSubscriptionVariables = Exact<{
  after?: string | null | undefined;
}>;


export type OperatorNewsSubscription = { events:
    | { __typename: 'Event', cursor: string, deploymentId: string | null }
    | { __typename: 'Gap', cursor: string }
    | { __typename: 'Heartbeat', cursor: string }
   };

export type KarpenterPoolsQueryVariables = Exact<{
  cluster: string;
}>;


export type KarpenterPoolsQuery = { cluster: { config: { namespacePrefix: string } | null, pools: Array<{ name: string, capacityType: CapacityType, nodeSelector: Array<{ key: string, value: string }>, scaling: { provider: string, maxNodes: number, settings: Array<{ name: string, value: string }> } | null }> } | null };

export type KarpenterPricesQueryVariables = Exact<{
  regions: Array<string> | string;
  types: Array<string> | string;
  after?: string | null | undefined;
}>;


export type KarpenterPricesQuery = { offerings: { nodes: Array<{ instanceType: string, zone: string | null, capacityType: CapacityType, price: { perHour: { amount: string } } | null }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } };

export type ExtenderNodePricesQueryVariables = Exact<{
  cluster: string;
  after?: string | null | undefined;
}>;


export type ExtenderNodePricesQuery = { cluster: { nodes: { nodes: Array<{ name: string, pricePerHour: { amount: string } | null }>, pageInfo: { hasNextPage: boolean, endCursor: string | null } } } | null };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}
export const AgreedFragmentDoc = new TypedDocumentString(`
    fragment Agreed on PriceAgreement {
  name
  kind
  covers
  percent
  count
  perHour {
    amount
  }
  from
  until
  version
}
    `, {"fragmentName":"Agreed"}) as unknown as TypedDocumentString<AgreedFragment, unknown>;
export const PlanOfChangeFragmentDoc = new TypedDocumentString(`
    fragment PlanOfChange on Plan {
  hash
  expiresAt
  peakReplicas
  risks
  actions {
    kind
    message
  }
  costDelta {
    amount
  }
  monthlyEstimate {
    amount
  }
}
    `, {"fragmentName":"PlanOfChange"}) as unknown as TypedDocumentString<PlanOfChangeFragment, unknown>;
export const RefusalFragmentDoc = new TypedDocumentString(`
    fragment Refusal on UserError {
  code
  message
  path
  hint
}
    `, {"fragmentName":"Refusal"}) as unknown as TypedDocumentString<RefusalFragment, unknown>;
export const RollbackDocument = new TypedDocumentString(`
    mutation Rollback($input: RollbackInput!, $dryRun: Boolean!, $planHash: String, $idempotencyKey: String) {
  rollback(
    input: $input
    dryRun: $dryRun
    planHash: $planHash
    idempotencyKey: $idempotencyKey
  ) {
    deployment {
      path
      generation
    }
    decision {
      reasons
    }
    plan {
      ...PlanOfChange
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment PlanOfChange on Plan {
  hash
  expiresAt
  peakReplicas
  risks
  actions {
    kind
    message
  }
  costDelta {
    amount
  }
  monthlyEstimate {
    amount
  }
}
fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<RollbackMutation, RollbackMutationVariables>;
export const ScaleDocument = new TypedDocumentString(`
    mutation Scale($input: ScaleDeploymentInput!, $dryRun: Boolean!, $planHash: String, $idempotencyKey: String) {
  scaleDeployment(
    input: $input
    dryRun: $dryRun
    planHash: $planHash
    idempotencyKey: $idempotencyKey
  ) {
    deployment {
      path
      generation
    }
    decision {
      reasons
    }
    plan {
      ...PlanOfChange
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment PlanOfChange on Plan {
  hash
  expiresAt
  peakReplicas
  risks
  actions {
    kind
    message
  }
  costDelta {
    amount
  }
  monthlyEstimate {
    amount
  }
}
fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<ScaleMutation, ScaleMutationVariables>;
export const SetTrafficDocument = new TypedDocumentString(`
    mutation SetTraffic($input: SetTrafficInput!, $dryRun: Boolean!, $planHash: String, $idempotencyKey: String) {
  setTraffic(
    input: $input
    dryRun: $dryRun
    planHash: $planHash
    idempotencyKey: $idempotencyKey
  ) {
    deployment {
      path
      generation
    }
    decision {
      reasons
    }
    plan {
      ...PlanOfChange
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment PlanOfChange on Plan {
  hash
  expiresAt
  peakReplicas
  risks
  actions {
    kind
    message
  }
  costDelta {
    amount
  }
  monthlyEstimate {
    amount
  }
}
fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<SetTrafficMutation, SetTrafficMutationVariables>;
export const DeleteDeploymentDocument = new TypedDocumentString(`
    mutation DeleteDeployment($input: DeleteDeploymentInput!, $dryRun: Boolean!, $planHash: String, $idempotencyKey: String) {
  deleteDeployment(
    input: $input
    dryRun: $dryRun
    planHash: $planHash
    idempotencyKey: $idempotencyKey
  ) {
    deletedId
    deployment {
      path
      generation
    }
    decision {
      reasons
    }
    plan {
      ...PlanOfChange
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment PlanOfChange on Plan {
  hash
  expiresAt
  peakReplicas
  risks
  actions {
    kind
    message
  }
  costDelta {
    amount
  }
  monthlyEstimate {
    amount
  }
}
fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<DeleteDeploymentMutation, DeleteDeploymentMutationVariables>;
export const CloudsDocument = new TypedDocumentString(`
    query Clouds {
  clouds {
    name
    kind
    rentsMachines
    hasBills
    feed {
      regions
      everySeconds
      readAt
      staleSince
      error
    }
  }
}
    `) as unknown as TypedDocumentString<CloudsQuery, CloudsQueryVariables>;
export const CheckCloudsDocument = new TypedDocumentString(`
    query CheckClouds($name: String) {
  clouds(name: $name) {
    name
    check {
      aspect
      status
      message
    }
  }
}
    `) as unknown as TypedDocumentString<CheckCloudsQuery, CheckCloudsQueryVariables>;
export const CloudBillDocument = new TypedDocumentString(`
    query CloudBill($cloud: String!, $range: TimeRange!) {
  cloudBill(cloud: $cloud, range: $range) {
    problem
    isFinal
    billedCost {
      amount
    }
    effectiveCost {
      amount
    }
    shares {
      service
      region
      lines
      billedCost {
        amount
      }
      effectiveCost {
        amount
      }
    }
    unreadableCount
    unreadable {
      ref
      reason
    }
  }
}
    `) as unknown as TypedDocumentString<CloudBillQuery, CloudBillQueryVariables>;
export const RegisterClusterDocument = new TypedDocumentString(`
    mutation RegisterCluster($input: RegisterClusterInput!, $idempotencyKey: String) {
  registerCluster(input: $input, idempotencyKey: $idempotencyKey) {
    cluster {
      id
      name
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<RegisterClusterMutation, RegisterClusterMutationVariables>;
export const UpdateClusterDocument = new TypedDocumentString(`
    mutation UpdateCluster($input: UpdateClusterInput!, $idempotencyKey: String) {
  updateCluster(input: $input, idempotencyKey: $idempotencyKey) {
    cluster {
      id
      name
      version
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<UpdateClusterMutation, UpdateClusterMutationVariables>;
export const SetPoolScalingDocument = new TypedDocumentString(`
    mutation SetPoolScaling($input: SetPoolScalingInput!, $idempotencyKey: String) {
  setPoolScaling(input: $input, idempotencyKey: $idempotencyKey) {
    pool {
      id
      name
      scaling {
        provider
        minNodes
        maxNodes
        version
      }
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<SetPoolScalingMutation, SetPoolScalingMutationVariables>;
export const ResumePoolGrowthDocument = new TypedDocumentString(`
    mutation ResumePoolGrowth($input: ResumePoolGrowthInput!, $idempotencyKey: String) {
  resumePoolGrowth(input: $input, idempotencyKey: $idempotencyKey) {
    pool {
      id
      name
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<ResumePoolGrowthMutation, ResumePoolGrowthMutationVariables>;
export const ShowClusterDocument = new TypedDocumentString(`
    query ShowCluster($id: ID!, $after: String) {
  node(id: $id) {
    __typename
    ... on Cluster {
      id
      name
      kind
      cordoned
      version
      createdAt
      config {
        access {
          inCluster
          file
          context
        }
        namespacePrefix
        systemNamespace
        modelServerImage
        routerCidrs
        routerNamespace
      }
      status {
        observedAt
        conditions {
          type
          status
          reason
          message
          lastTransitionTime
        }
      }
      heldRemovals {
        digest
        count
      }
      capacitySources {
        provider
        region
        zones
        maxNodes
      }
      pools {
        name
        capacityType
        nodeSelector {
          key
          value
        }
        scaling {
          provider
          minNodes
          maxNodes
          desiredNodes
          conditions {
            type
            status
            message
          }
        }
      }
      leavingPools {
        name
        capacityType
        scaling {
          desiredNodes
          conditions {
            status
            message
          }
        }
      }
      nodes(first: 100, after: $after) {
        nodes {
          name
          readiness
          schedulable
          notice
          instanceType
          capacityType
          pods
          pricePerHour {
            amount
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<ShowClusterQuery, ShowClusterQueryVariables>;
export const ClustersDocument = new TypedDocumentString(`
    query Clusters($after: String) {
  clusters(first: 100, after: $after) {
    nodes {
      id
      name
      kind
      cordoned
      version
      pools {
        name
        capacityType
      }
      status {
        observedAt
        conditions {
          type
          status
          reason
          message
        }
      }
      heldRemovals {
        digest
        count
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    `) as unknown as TypedDocumentString<ClustersQuery, ClustersQueryVariables>;
export const NamedClusterDocument = new TypedDocumentString(`
    query NamedCluster($name: String!) {
  cluster(by: {path: $name}) {
    id
    pools {
      id
      name
    }
  }
}
    `) as unknown as TypedDocumentString<NamedClusterQuery, NamedClusterQueryVariables>;
export const CordonClusterDocument = new TypedDocumentString(`
    mutation CordonCluster($input: CordonClusterInput!, $idempotencyKey: String) {
  cordonCluster(input: $input, idempotencyKey: $idempotencyKey) {
    cluster {
      id
      name
      cordoned
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<CordonClusterMutation, CordonClusterMutationVariables>;
export const DeclareClusterLostDocument = new TypedDocumentString(`
    mutation DeclareClusterLost($input: DeclareClusterLostInput!, $idempotencyKey: String) {
  declareClusterLost(input: $input, idempotencyKey: $idempotencyKey) {
    cluster {
      id
      name
      lostAt
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<DeclareClusterLostMutation, DeclareClusterLostMutationVariables>;
export const RemoveClusterDocument = new TypedDocumentString(`
    mutation RemoveCluster($input: RemoveClusterInput!, $idempotencyKey: String) {
  removeCluster(input: $input, idempotencyKey: $idempotencyKey) {
    removedId
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<RemoveClusterMutation, RemoveClusterMutationVariables>;
export const RebuildClusterDocument = new TypedDocumentString(`
    mutation RebuildCluster($input: RebuildClusterInput!, $dryRun: Boolean!, $idempotencyKey: String) {
  rebuildCluster(input: $input, dryRun: $dryRun, idempotencyKey: $idempotencyKey) {
    cluster {
      id
      name
    }
    actions {
      kind
      message
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<RebuildClusterMutation, RebuildClusterMutationVariables>;
export const ApproveRemovalsDocument = new TypedDocumentString(`
    mutation ApproveRemovals($input: ApproveRemovalsInput!, $idempotencyKey: String) {
  approveRemovals(input: $input, idempotencyKey: $idempotencyKey) {
    cluster {
      id
      name
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<ApproveRemovalsMutation, ApproveRemovalsMutationVariables>;
export const WhoAmIDocument = new TypedDocumentString(`
    query WhoAmI {
  viewer {
    principal {
      id
      name
      kind
    }
    grants {
      role
      scope
    }
    actions
  }
}
    `) as unknown as TypedDocumentString<WhoAmIQuery, WhoAmIQueryVariables>;
export const CostsDocument = new TypedDocumentString(`
    query Costs($range: TimeRange!, $groupBy: [CostDimension!]!, $step: CostStep, $filter: CostFilter, $spreading: CostSpreading! = NONE) {
  costs(
    range: $range
    groupBy: $groupBy
    step: $step
    filter: $filter
    spreading: $spreading
  ) {
    total {
      amount
    }
    isEstimate
    estimated {
      amount
    }
    reconciledUntil
    unpricedMs
    effectiveRange {
      from
      to
    }
    rows {
      period
      key {
        dimension
        value
      }
      cost {
        amount
      }
      busy {
        amount
      }
      idle {
        amount
      }
      starting {
        amount
      }
      draining {
        amount
      }
      unready {
        amount
      }
      nodeIdle {
        amount
      }
      shared {
        amount
      }
      unattributed {
        amount
      }
      requests
      errors
      unitCost {
        amount
      }
    }
  }
}
    `) as unknown as TypedDocumentString<CostsQuery, CostsQueryVariables>;
export const DeploymentIdDocument = new TypedDocumentString(`
    query DeploymentId($path: String!) {
  deployment(by: {path: $path}) {
    id
  }
}
    `) as unknown as TypedDocumentString<DeploymentIdQuery, DeploymentIdQueryVariables>;
export const DeployDocument = new TypedDocumentString(`
    mutation Deploy($input: DeployInput!, $dryRun: Boolean!, $planHash: String, $expectedVersion: Int, $placeAnew: Boolean!, $idempotencyKey: String) {
  deploy(
    input: $input
    dryRun: $dryRun
    planHash: $planHash
    expectedVersion: $expectedVersion
    placeAnew: $placeAnew
    idempotencyKey: $idempotencyKey
  ) {
    deployment {
      id
      path
      generation
      endpoint {
        url
      }
      rollout {
        startedAt
        endedAt
      }
    }
    plan {
      hash
      expiresAt
      peakReplicas
      risks
      why
      wouldChange
      places {
        cluster
        pool
        offering
        zone
        replicas
        machines
        hourly {
          amount
        }
      }
      actions {
        kind
        message
      }
      candidates {
        offering {
          provider
          region
          instanceType
          capacityType
        }
        hourly {
          amount
        }
        priceSource
        monthly {
          amount
        }
        score {
          amount
        }
        replicas
        chosen
        rejectedBecause {
          code
          message
        }
      }
      costDelta {
        amount
      }
      monthlyEstimate {
        amount
      }
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<DeployMutation, DeployMutationVariables>;
export const DeploymentStatusDocument = new TypedDocumentString(`
    query DeploymentStatus($path: String!) {
  deployment(by: {path: $path}) {
    generation
    status {
      phase
      observedGeneration
      conditions {
        type
        status
        message
      }
    }
    rollout {
      state
      reason
      startedAt
    }
  }
}
    `) as unknown as TypedDocumentString<DeploymentStatusQuery, DeploymentStatusQueryVariables>;
export const EventsDocument = new TypedDocumentString(`
    query Events($after: EventCursor, $filter: EventFilter, $first: Int!, $last: Int) {
  events(after: $after, filter: $filter, first: $first, last: $last) {
    events {
      cursor
      at
      type
      severity
      principal
      subjectKind
      subjectId
      message
      before
      after
    }
    gap {
      reason
      cursor
    }
    cursor
    hasMore
  }
}
    `) as unknown as TypedDocumentString<EventsQuery, EventsQueryVariables>;
export const FollowEventsDocument = new TypedDocumentString(`
    subscription FollowEvents($after: EventCursor, $filter: EventFilter) {
  events(after: $after, filter: $filter) {
    __typename
    ... on Event {
      cursor
      at
      type
      severity
      principal
      subjectKind
      subjectId
      message
      before
      after
    }
    ... on Gap {
      reason
      cursor
    }
    ... on Heartbeat {
      cursor
    }
  }
}
    `) as unknown as TypedDocumentString<FollowEventsSubscription, FollowEventsSubscriptionVariables>;
export const TeamsDocument = new TypedDocumentString(`
    query Teams($after: String) {
  teams(first: 20, after: $after) {
    nodes {
      name
      projects(first: 100) {
        nodes {
          path
          maxReplicas
          maxSpendPerHour {
            amount
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    `) as unknown as TypedDocumentString<TeamsQuery, TeamsQueryVariables>;
export const TeamProjectsDocument = new TypedDocumentString(`
    query TeamProjects($team: String!, $after: String) {
  team(by: {path: $team}) {
    projects(first: 100, after: $after) {
      nodes {
        path
        maxReplicas
        maxSpendPerHour {
          amount
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
    `) as unknown as TypedDocumentString<TeamProjectsQuery, TeamProjectsQueryVariables>;
export const CreateTeamDocument = new TypedDocumentString(`
    mutation CreateTeam($input: CreateTeamInput!, $idempotencyKey: String) {
  createTeam(input: $input, idempotencyKey: $idempotencyKey) {
    team {
      id
      name
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<CreateTeamMutation, CreateTeamMutationVariables>;
export const CreateProjectDocument = new TypedDocumentString(`
    mutation CreateProject($input: CreateProjectInput!, $idempotencyKey: String) {
  createProject(input: $input, idempotencyKey: $idempotencyKey) {
    project {
      id
      path
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<CreateProjectMutation, CreateProjectMutationVariables>;
export const PrincipalsDocument = new TypedDocumentString(`
    query Principals($after: String) {
  principals(first: 100, after: $after) {
    nodes {
      id
      name
      kind
      grants {
        role
        scope
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    `) as unknown as TypedDocumentString<PrincipalsQuery, PrincipalsQueryVariables>;
export const CreatePrincipalDocument = new TypedDocumentString(`
    mutation CreatePrincipal($input: CreatePrincipalInput!, $idempotencyKey: String) {
  createPrincipal(input: $input, idempotencyKey: $idempotencyKey) {
    principal {
      id
      name
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<CreatePrincipalMutation, CreatePrincipalMutationVariables>;
export const TokensDocument = new TypedDocumentString(`
    query Tokens($after: String) {
  tokens(first: 100, after: $after) {
    nodes {
      id
      name
      hint
      principalId
      createdAt
      expiresAt
      revokedAt
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    `) as unknown as TypedDocumentString<TokensQuery, TokensQueryVariables>;
export const CreateTokenDocument = new TypedDocumentString(`
    mutation CreateToken($input: CreateTokenInput!, $idempotencyKey: String) {
  createToken(input: $input, idempotencyKey: $idempotencyKey) {
    secret
    token {
      id
      name
      expiresAt
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<CreateTokenMutation, CreateTokenMutationVariables>;
export const RevokeTokenDocument = new TypedDocumentString(`
    mutation RevokeToken($input: RevokeTokenInput!, $idempotencyKey: String) {
  revokeToken(input: $input, idempotencyKey: $idempotencyKey) {
    token {
      id
      name
      revokedAt
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<RevokeTokenMutation, RevokeTokenMutationVariables>;
export const EndpointDocument = new TypedDocumentString(`
    query Endpoint($path: String!) {
  deployment(by: {path: $path}) {
    name
    endpoint {
      url
    }
  }
}
    `) as unknown as TypedDocumentString<EndpointQuery, EndpointQueryVariables>;
export const DeploymentsDocument = new TypedDocumentString(`
    query Deployments($after: String) {
  deployments(first: 50, after: $after) {
    nodes {
      path
      wishedReplicas
      status {
        phase
      }
      revision {
        number
        modelVersion {
          number
          model {
            path
          }
        }
      }
      replicas {
        state
      }
      monthlyEstimate {
        amount
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    `) as unknown as TypedDocumentString<DeploymentsQuery, DeploymentsQueryVariables>;
export const DescribeDeploymentDocument = new TypedDocumentString(`
    query DescribeDeployment($path: String!, $events: EventFilter, $day: TimeRange!) {
  deployment(by: {path: $path}) {
    id
    path
    version
    generation
    wishedReplicas
    requestsPerSecond
    maxReplicas
    maxSpendPerHour {
      amount
    }
    endpoint {
      url
      protocols
    }
    monthlyEstimate {
      amount
    }
    status {
      phase
      observedGeneration
      conditions {
        type
        status
        reason
        message
        lastTransitionTime
      }
    }
    revision {
      number
      modelVersion {
        number
        model {
          path
        }
      }
    }
    rollout {
      state
      toRevision
      reason
      startedAt
      endedAt
    }
    traffic {
      weights {
        revision
        weight
      }
    }
    replicas {
      id
      state
      cluster
      address
      restarts
      message
      revision {
        number
      }
    }
    costs(range: $day) {
      total {
        amount
      }
      isEstimate
    }
    decisions(first: 3) {
      kind
      at
      reasons
    }
    allowedActions {
      action
      allowed
      reason
    }
  }
  events(filter: $events, last: 10) {
    events {
      cursor
      at
      type
      severity
      message
    }
  }
}
    `) as unknown as TypedDocumentString<DescribeDeploymentQuery, DescribeDeploymentQueryVariables>;
export const LogsDocument = new TypedDocumentString(`
    query Logs($path: String!, $lines: Int!) {
  deployment(by: {path: $path}) {
    replicas {
      id
      revision {
        number
      }
      logs(limit: $lines) {
        lines {
          at
          stream
          text
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<LogsQuery, LogsQueryVariables>;
export const PriceAgreementsDocument = new TypedDocumentString(`
    query PriceAgreements {
  priceAgreements {
    ...Agreed
  }
}
    fragment Agreed on PriceAgreement {
  name
  kind
  covers
  percent
  count
  perHour {
    amount
  }
  from
  until
  version
}`) as unknown as TypedDocumentString<PriceAgreementsQuery, PriceAgreementsQueryVariables>;
export const SetDiscountDocument = new TypedDocumentString(`
    mutation SetDiscount($input: SetDiscountInput!, $idempotencyKey: String) {
  setDiscount(input: $input, idempotencyKey: $idempotencyKey) {
    agreement {
      ...Agreed
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Agreed on PriceAgreement {
  name
  kind
  covers
  percent
  count
  perHour {
    amount
  }
  from
  until
  version
}
fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<SetDiscountMutation, SetDiscountMutationVariables>;
export const SetCommitmentDocument = new TypedDocumentString(`
    mutation SetCommitment($input: SetCommitmentInput!, $idempotencyKey: String) {
  setCommitment(input: $input, idempotencyKey: $idempotencyKey) {
    agreement {
      ...Agreed
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Agreed on PriceAgreement {
  name
  kind
  covers
  percent
  count
  perHour {
    amount
  }
  from
  until
  version
}
fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<SetCommitmentMutation, SetCommitmentMutationVariables>;
export const SetOwnHardwareDocument = new TypedDocumentString(`
    mutation SetOwnHardware($input: SetOwnHardwareInput!, $idempotencyKey: String) {
  setOwnHardware(input: $input, idempotencyKey: $idempotencyKey) {
    agreement {
      ...Agreed
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Agreed on PriceAgreement {
  name
  kind
  covers
  percent
  count
  perHour {
    amount
  }
  from
  until
  version
}
fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<SetOwnHardwareMutation, SetOwnHardwareMutationVariables>;
export const RemovePriceAgreementDocument = new TypedDocumentString(`
    mutation RemovePriceAgreement($input: RemovePriceAgreementInput!, $idempotencyKey: String) {
  removePriceAgreement(input: $input, idempotencyKey: $idempotencyKey) {
    agreement {
      ...Agreed
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Agreed on PriceAgreement {
  name
  kind
  covers
  percent
  count
  perHour {
    amount
  }
  from
  until
  version
}
fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<RemovePriceAgreementMutation, RemovePriceAgreementMutationVariables>;
export const QuarantinedPricesDocument = new TypedDocumentString(`
    query QuarantinedPrices($feed: String, $after: String) {
  quarantinedPrices(feed: $feed, first: 100, after: $after) {
    nodes {
      id
      feed
      offeringKey
      said
      unit
      currency
      code
      message
      observedAt
      isAcceptable
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    `) as unknown as TypedDocumentString<QuarantinedPricesQuery, QuarantinedPricesQueryVariables>;
export const DecideQuarantinedDocument = new TypedDocumentString(`
    mutation DecideQuarantined($input: DecideQuarantinedPriceInput!, $idempotencyKey: String) {
  decideQuarantinedPrice(input: $input, idempotencyKey: $idempotencyKey) {
    price {
      offeringKey
      state
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<DecideQuarantinedMutation, DecideQuarantinedMutationVariables>;
export const PricesDocument = new TypedDocumentString(`
    query Prices($filter: OfferingFilter, $orderBy: OfferingOrder!, $first: Int!) {
  offerings(filter: $filter, orderBy: $orderBy, first: $first) {
    nodes {
      provider
      region
      zone
      instanceType
      capacityType
      cpuMilli
      memoryMib
      accelerator {
        model
        countMilli
        memoryMib
      }
      interruptionBand
      price {
        perHour {
          amount
        }
        listPerHour {
          amount
        }
        source
        isStale
      }
    }
  }
}
    `) as unknown as TypedDocumentString<PricesQuery, PricesQueryVariables>;
export const PriceHistoryDocument = new TypedDocumentString(`
    query PriceHistory($offering: OfferingKey!, $range: TimeRange!) {
  priceHistory(offering: $offering, range: $range) {
    from
    to
    price {
      perHour {
        amount
      }
      listPerHour {
        amount
      }
      source
      observedAt
    }
  }
}
    `) as unknown as TypedDocumentString<PriceHistoryQuery, PriceHistoryQueryVariables>;
export const SetPriceDocument = new TypedDocumentString(`
    mutation SetPrice($input: SetPriceOverrideInput!, $idempotencyKey: String) {
  setPriceOverride(input: $input, idempotencyKey: $idempotencyKey) {
    offering {
      price {
        perHour {
          amount
        }
        source
      }
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<SetPriceMutation, SetPriceMutationVariables>;
export const PriceFeedsDocument = new TypedDocumentString(`
    query PriceFeeds {
  priceFeeds {
    name
    isConfigured
    intervalSeconds
    attemptedAt
    readAt
    rows
    quarantined
    error
    staleSince
    unreadable {
      ref
      reason
    }
  }
}
    `) as unknown as TypedDocumentString<PriceFeedsQuery, PriceFeedsQueryVariables>;
export const ModelsDocument = new TypedDocumentString(`
    query Models($after: String) {
  models(first: 100, after: $after) {
    nodes {
      path
      description
      aliases {
        name
        version {
          number
        }
      }
      versions(first: 1) {
        nodes {
          number
          format
        }
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    `) as unknown as TypedDocumentString<ModelsQuery, ModelsQueryVariables>;
export const VersionsDocument = new TypedDocumentString(`
    query Versions($path: String!, $after: String) {
  model(by: {path: $path}) {
    versions(first: 100, after: $after) {
      nodes {
        id
        number
        format
        createdAt
        archivedAt
        artifact {
          digest
          sizeBytes
        }
        lineage {
          runId
          sourceUrl
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
    `) as unknown as TypedDocumentString<VersionsQuery, VersionsQueryVariables>;
export const RegisterModelDocument = new TypedDocumentString(`
    mutation RegisterModel($input: RegisterModelInput!, $idempotencyKey: String) {
  registerModel(input: $input, idempotencyKey: $idempotencyKey) {
    model {
      path
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<RegisterModelMutation, RegisterModelMutationVariables>;
export const RegisterModelVersionDocument = new TypedDocumentString(`
    mutation RegisterModelVersion($input: RegisterModelVersionInput!, $idempotencyKey: String) {
  registerModelVersion(input: $input, idempotencyKey: $idempotencyKey) {
    modelVersion {
      number
      artifact {
        digest
      }
      signature {
        inputs {
          name
          datatype
          shape
        }
        outputs {
          name
          datatype
          shape
        }
      }
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<RegisterModelVersionMutation, RegisterModelVersionMutationVariables>;
export const SetModelAliasDocument = new TypedDocumentString(`
    mutation SetModelAlias($input: SetModelAliasInput!, $idempotencyKey: String) {
  setModelAlias(input: $input, idempotencyKey: $idempotencyKey) {
    alias {
      name
      version {
        number
      }
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<SetModelAliasMutation, SetModelAliasMutationVariables>;
export const ArchiveModelVersionDocument = new TypedDocumentString(`
    mutation ArchiveModelVersion($input: ArchiveModelVersionInput!, $idempotencyKey: String) {
  archiveModelVersion(input: $input, idempotencyKey: $idempotencyKey) {
    modelVersion {
      number
      archivedAt
    }
    userErrors {
      ...Refusal
    }
  }
}
    fragment Refusal on UserError {
  code
  message
  path
  hint
}`) as unknown as TypedDocumentString<ArchiveModelVersionMutation, ArchiveModelVersionMutationVariables>;
export const AliasHistoryDocument = new TypedDocumentString(`
    query AliasHistory($path: String!) {
  model(by: {path: $path}) {
    aliases {
      name
      version {
        number
      }
      history {
        validFrom
        version {
          number
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<AliasHistoryQuery, AliasHistoryQueryVariables>;
export const WhyDeploymentDocument = new TypedDocumentString(`
    query WhyDeployment($path: String!, $events: EventFilter) {
  deployment(by: {path: $path}) {
    id
    path
    status {
      phase
    }
    decisions(first: 20) {
      kind
      at
      principal
      reasons
      candidates
      rejected
      chosen
      expectedHourly {
        amount
      }
    }
  }
  events(filter: $events, last: 20) {
    events {
      at
      type
      message
    }
  }
}
    `) as unknown as TypedDocumentString<WhyDeploymentQuery, WhyDeploymentQueryVariables>;
export const DemoLookDocument = new TypedDocumentString(`
    query DemoLook($team: String!, $project: String!, $model: String!, $deployment: String!) {
  team(by: {path: $team}) {
    id
  }
  project(by: {path: $project}) {
    id
  }
  model(by: {path: $model}) {
    versions(first: 1) {
      nodes {
        number
      }
    }
  }
  deployment(by: {path: $deployment}) {
    status {
      phase
    }
  }
}
    `) as unknown as TypedDocumentString<DemoLookQuery, DemoLookQueryVariables>;
export const DemoTeamDocument = new TypedDocumentString(`
    mutation DemoTeam($name: String!) {
  createTeam(input: {name: $name}) {
    userErrors {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<DemoTeamMutation, DemoTeamMutationVariables>;
export const DemoProjectDocument = new TypedDocumentString(`
    mutation DemoProject($team: String!, $name: String!) {
  createProject(input: {team: {path: $team}, name: $name}) {
    userErrors {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<DemoProjectMutation, DemoProjectMutationVariables>;
export const DemoModelDocument = new TypedDocumentString(`
    mutation DemoModel($project: String!, $name: String!) {
  registerModel(
    input: {project: {path: $project}, name: $name, description: "Handwritten digits: 8 × 8 pixels to ten probabilities"}
  ) {
    userErrors {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<DemoModelMutation, DemoModelMutationVariables>;
export const DemoVersionDocument = new TypedDocumentString(`
    mutation DemoVersion($model: String!, $digest: String!) {
  registerModelVersion(
    input: {model: {path: $model}, artifactDigest: $digest, resources: {cpuMilli: 250, memoryMib: 256}}
  ) {
    userErrors {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<DemoVersionMutation, DemoVersionMutationVariables>;
export const DemoDeploymentDocument = new TypedDocumentString(`
    mutation DemoDeployment($project: String!, $name: String!) {
  deploy(
    input: {project: {path: $project}, name: $name, model: $name, replicas: 1}
  ) {
    userErrors {
      code
      message
    }
  }
}
    `) as unknown as TypedDocumentString<DemoDeploymentMutation, DemoDeploymentMutationVariables>;
export const DemoReadyDocument = new TypedDocumentString(`
    query DemoReady($path: String!, $range: TimeRange!) {
  deployment(by: {path: $path}) {
    status {
      phase
      conditions {
        status
        message
      }
    }
    costs(range: $range) {
      total {
        amount
      }
    }
  }
}
    `) as unknown as TypedDocumentString<DemoReadyQuery, DemoReadyQueryVariables>;
export const FleetPlanDocument = new TypedDocumentString(`
    query FleetPlan($project: ProjectBy, $exact: Boolean!) {
  fleetPlan(project: $project, exact: $exact) {
    machines {
      offering
      count
    }
    seats {
      deployment
      offering
      replicas
    }
    unplaced {
      deployment
      replicas
      reason
    }
    hourly {
      amount
    }
    hourlyNow {
      amount
    }
    lowerBound {
      amount
    }
    method
    shortOf
  }
}
    `) as unknown as TypedDocumentString<FleetPlanQuery, FleetPlanQueryVariables>;
export const SignedInDocument = new TypedDocumentString(`
    query SignedIn {
  viewer {
    principal {
      name
    }
  }
}
    `) as unknown as TypedDocumentString<SignedInQuery, SignedInQueryVariables>;
export const RecentEventsDocument = new TypedDocumentString(`
    query RecentEvents($last: Int!) {
  events(last: $last) {
    cursor
    events {
      __typename
      cursor
      at
      type
      message
      severity
    }
  }
}
    `) as unknown as TypedDocumentString<RecentEventsQuery, RecentEventsQueryVariables>;
export const LiveEventsDocument = new TypedDocumentString(`
    subscription LiveEvents($after: EventCursor) {
  events(after: $after) {
    __typename
    ... on Event {
      cursor
      at
      type
      message
      severity
    }
    ... on Gap {
      reason
      cursor
    }
    ... on Heartbeat {
      cursor
    }
  }
}
    `) as unknown as TypedDocumentString<LiveEventsSubscription, LiveEventsSubscriptionVariables>;
export const DashboardDocument = new TypedDocumentString(`
    query Dashboard($range: TimeRange!) {
  deployments(first: 50) {
    nodes {
      id
      path
      endpoint {
        url
      }
      status {
        phase
        conditions {
          type
          status
          message
        }
      }
      revision {
        number
        modelVersion {
          number
          model {
            name
          }
        }
      }
      replicas {
        id
        state
      }
      monthlyEstimate {
        amount
      }
      costs(range: $range) {
        total {
          amount
        }
        rows {
          requests
        }
      }
    }
    pageInfo {
      hasNextPage
    }
  }
  costs(range: $range, groupBy: []) {
    total {
      amount
    }
    isEstimate
    rows {
      requests
    }
  }
  models(first: 50) {
    nodes {
      id
      path
      versions(first: 1) {
        nodes {
          number
          format
          createdAt
        }
      }
      aliases {
        name
        version {
          number
        }
      }
    }
    pageInfo {
      hasNextPage
    }
  }
}
    `) as unknown as TypedDocumentString<DashboardQuery, DashboardQueryVariables>;
export const OperatorFindDeploymentDocument = new TypedDocumentString(`
    query OperatorFindDeployment($path: String!) {
  deployment(by: {path: $path}) {
    id
    manager
    generation
    wishedReplicas
    endpoint {
      url
    }
    revision {
      number
    }
    monthlyEstimate {
      amount
    }
    replicas {
      state
    }
    status {
      phase
      observedGeneration
      conditions {
        type
        status
        reason
        message
      }
    }
  }
}
    `) as unknown as TypedDocumentString<OperatorFindDeploymentQuery, OperatorFindDeploymentQueryVariables>;
export const OperatorDeployDocument = new TypedDocumentString(`
    mutation OperatorDeploy($input: DeployInput!) {
  deploy(input: $input) {
    userErrors {
      code
      message
      hint
    }
  }
}
    `) as unknown as TypedDocumentString<OperatorDeployMutation, OperatorDeployMutationVariables>;
export const OperatorDeleteDocument = new TypedDocumentString(`
    mutation OperatorDelete($input: DeleteDeploymentInput!) {
  deleteDeployment(input: $input) {
    userErrors {
      code
      message
      hint
    }
  }
}
    `) as unknown as TypedDocumentString<OperatorDeleteMutation, OperatorDeleteMutationVariables>;
export const OperatorNewsDocument = new TypedDocumentString(`
    subscription OperatorNews($after: EventCursor) {
  events(after: $after) {
    __typename
    ... on Event {
      cursor
      deploymentId
    }
    ... on Gap {
      cursor
    }
    ... on Heartbeat {
      cursor
    }
  }
}
    `) as unknown as TypedDocumentString<OperatorNewsSubscription, OperatorNewsSubscriptionVariables>;
export const KarpenterPoolsDocument = new TypedDocumentString(`
    query KarpenterPools($cluster: String!) {
  cluster(by: {path: $cluster}) {
    config {
      namespacePrefix
    }
    pools {
      name
      capacityType
      nodeSelector {
        key
        value
      }
      scaling {
        provider
        maxNodes
        settings {
          name
          value
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<KarpenterPoolsQuery, KarpenterPoolsQueryVariables>;
export const KarpenterPricesDocument = new TypedDocumentString(`
    query KarpenterPrices($regions: [String!]!, $types: [String!]!, $after: String) {
  offerings(
    filter: {regions: $regions, instanceTypes: $types}
    first: 100
    after: $after
  ) {
    nodes {
      instanceType
      zone
      capacityType
      price {
        perHour {
          amount
        }
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    `) as unknown as TypedDocumentString<KarpenterPricesQuery, KarpenterPricesQueryVariables>;
export const ExtenderNodePricesDocument = new TypedDocumentString(`
    query ExtenderNodePrices($cluster: String!, $after: String) {
  cluster(by: {path: $cluster}) {
    nodes(first: 100, after: $after) {
      nodes {
        name
        pricePerHour {
          amount
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
}
    `) as unknown as TypedDocumentString<ExtenderNodePricesQuery, ExtenderNodePricesQueryVariables>;