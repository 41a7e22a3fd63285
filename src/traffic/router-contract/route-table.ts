import type { Id } from '../../kernel/id.ts';
import type { Instant } from '../../kernel/instant.ts';

/** A replica that may be sent requests. */
export interface RouteReplica {
  readonly replicaId: Id;
  /** `host:port`. */
  readonly address: string;
  /** What it costs now, in pico-dollars per hour, as a decimal string; null = unpriced (no stamp). */
  readonly ratePicoUsdPerHour: string | null;
  /** Name of the group that it belongs to; absent = none. */
  readonly group?: string;
}

/** Replicas that share a fate, such as those of one cluster. */
export interface RouteGroup {
  readonly name: string;
  /** Share among the groups of its order; 0 = only while no group with a weight has a replica that can be sent requests. */
  readonly weight: number;
  /** The lowest order that has a replica which can be sent requests takes them all. */
  readonly order: number;
}

/** A deployment of which no replica is ready. */
export interface RouteWake {
  /** Replicas wished for: 0 = it sleeps until somebody scales it up; else requests are held until one is ready. */
  readonly wished: number;
  /** When the first of those on their way began to start; null = none has yet. */
  readonly since: Instant | null;
  /** How long a start mostly takes, in ms; null = nobody knows. */
  readonly etaMs: number | null;
}

export interface RouteRevision {
  readonly revisionId: Id;
  readonly number: number;
  /** Share of traffic, 0 to 100; the weights of a deployment sum to 100, or all are 0. */
  readonly weight: number;
  /** Requests that one replica handles at a time (ledger: `c`). */
  readonly concurrency: number;
  readonly protocol: 'oip' | 'openai' | 'http';
  /** The owner says that any request may be sent twice. */
  readonly retryable: boolean;
  readonly replicas: readonly RouteReplica[];
}

export interface RouteDeployment {
  readonly deploymentId: Id;
  readonly teamId: Id;
  readonly projectId: Id;
  /** `team/project/deployment`. */
  readonly path: string;
  /** Host names that lead here, besides the path. */
  readonly hosts: readonly string[];
  /** A request that is not answered by then gets 504. */
  readonly deadlineMs: number;
  /** Requests that may wait for a free replica; one more gets 429. */
  readonly queueLimit: number;
  readonly revisions: readonly RouteRevision[];
  /** Absent or empty = all replicas alike. A replica of a group that is not listed here comes last. */
  readonly groups?: readonly RouteGroup[];
  /** Absent while a replica is ready, and where holding requests would help nobody: they are refused then. */
  readonly wake?: RouteWake;
}

/** A credential that may invoke: matched by the SHA-256 of the presented token, so that no secret travels. */
export interface RouteCredential {
  /** Lower-case hex SHA-256 of the whole token. */
  readonly tokenSha256: string;
  readonly principalId: Id;
  /** Who the usage is booked to. Null for a platform principal: the owner's team then. */
  readonly callerTeamId: Id | null;
  readonly expiresAt: Instant | null;
  readonly access: RouteAccess;
}

/** Which deployments a caller may invoke: all, or those of the listed teams and projects. */
export interface RouteAccess {
  readonly all: boolean;
  readonly teamIds: readonly Id[];
  readonly projectIds: readonly Id[];
}

/** OIDC bearer tokens at the router: keys are part of the table so that the router needs no network of its own. */
export interface RouteIssuer {
  readonly issuer: string;
  readonly audience: string;
  /** JSON Web Key Set, as JSON text. */
  readonly jwks: string;
  readonly people: readonly {
    readonly subject: string;
    readonly principalId: Id;
    readonly callerTeamId: Id | null;
    readonly access: RouteAccess;
  }[];
}

export interface TableVersion {
  /** Of the control plane's database: a new epoch may restart `n`. */
  readonly epoch: string;
  /** Rises with every table; a router refuses a lower one in the same epoch. */
  readonly n: number;
}

/** Everything a router needs to know, always whole. */
export interface RouteTable {
  readonly version: TableVersion;
  readonly madeAt: Instant;
  readonly deployments: readonly RouteDeployment[];
  /**
   * Deployments deleted on purpose, kept for a day. A table that drops more than the larger of 5 % or 3 deployments without such a
   * record is held for an operator.
   */
  readonly deleted: readonly { readonly deploymentId: Id; readonly at: Instant }[];
  readonly credentials: readonly RouteCredential[];
  readonly issuers: readonly RouteIssuer[];
}
