import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import type { Transaction } from '../kernel/transaction.ts';
import type { UsageRow } from '../traffic/router-contract/usage-report.ts';
import type { BusyGroup, RatedStep, Stretch } from './attribute-costs.ts';
import type { HighWater } from './high-water.ts';
import type { ReplicaLife } from './replica-life.ts';
import type { LedgerLine } from './ledger-line.ts';
import type { BookedLine } from './restate.ts';

/** What is remembered of one router incarnation. */
export interface UsageSource extends HighWater {
  readonly source: string;
  readonly router: string;
  /** All usage of minutes that end by then was reported. */
  readonly through: Instant;
}

/** How far a replica's minutes are closed, and what was known of it then. */
export interface MeteredReplica {
  readonly replicaId: Id;
  readonly closedUntil: Instant;
  /** Its slot was given up and all its minutes are closed. */
  readonly ended: boolean;
  /** Transitions, end of the slot and price rows that the closed minutes were computed with. */
  readonly seen: Seen;
}

export interface Seen {
  readonly transitions: number;
  readonly capacityUntil: Instant | null;
  readonly prices: number;
}

/** Everything about a replica that its lines depend on, except usage. */
export interface CostedReplica {
  readonly replicaId: Id;
  readonly teamId: Id;
  readonly projectId: Id;
  readonly deploymentId: Id;
  readonly revisionId: Id;
  readonly modelId: Id;
  readonly modelVersionId: Id;
  readonly clusterId: Id;
  readonly offeringId: Id;
  readonly concurrency: number;
  readonly life: ReplicaLife;
  /** The prices of its offering: they count unless it is on known nodes. */
  readonly steps: readonly RatedStep[];
  /** When it was on known nodes, which share out their cost; empty = on none, ever. */
  readonly places: readonly Stretch[];
  /** The last instant that the runtime has told of. */
  readonly observedAt: Instant;
  readonly seen: Seen;
  /** Price rows of offerings that a replica only stands in for: it runs on a machine of one's own, and nobody has set a price. */
  readonly assumedPrices: ReadonlySet<Id>;
  /** From when each believed price row is in force, in the order in which they became known. */
  readonly pricesFrom: readonly Instant[];
}

/** How far one replica is closed, with what tells whether more can be. */
export interface ReplicaProgress {
  readonly replicaId: Id;
  readonly closedUntil: Instant;
  readonly capacityUntil: Instant | null;
  readonly observedAt: Instant;
  /** Something that closed minutes were computed with has changed. */
  readonly changed: boolean;
}

/** Usage, the ledger and how far it is closed. Every method is a fixed number of statements. */
export interface CostStore {
  /** Remembers that a router was seen; a new one has acknowledged nothing. */
  noteRouter(tx: Transaction, router: string, now: Instant): Promise<void>;
  /** Locks the source until the transaction ends; a new one has counted nothing. */
  lockSource(tx: Transaction, source: string, router: string, now: Instant): Promise<UsageSource>;
  saveSource(tx: Transaction, source: UsageSource, now: Instant): Promise<void>;
  /** How far these replicas are closed; none of them is closed further before this transaction ends. Unknown ids are left out. */
  holdReplicas(tx: Transaction, replicaIds: readonly Id[]): Promise<ReadonlyMap<Id, Instant>>;
  /** Adds to the minutes' sums and the hours' sums; `unattributed` adds to the hours only. */
  addUsage(tx: Transaction, rows: readonly UsageRow[], unattributed: boolean): Promise<void>;
  queueRestatement(tx: Transaction, minutes: readonly { readonly replicaId: Id; readonly minute: Instant }[]): Promise<void>;
  /** The same for closed minutes of the nodes that these replicas are placed on. */
  queueNodesOf(tx: Transaction, minutes: readonly { readonly replicaId: Id; readonly minute: Instant }[]): Promise<void>;
  /** All closed minutes since `from` of the nodes that the replica is placed on. */
  queueNodesSince(tx: Transaction, replicaId: Id, from: Instant): Promise<void>;

  /** The least `through` of the routers seen since `since`, by the furthest of each router's incarnations; null = none was seen. */
  acknowledgedThrough(tx: Transaction, since: Instant): Promise<Instant | null>;
  /** Replicas that may have something to close or to restate, of those that held their slot after `since`. */
  openReplicas(tx: Transaction, since: Instant): Promise<ReplicaProgress[]>;
  queuedRestatements(tx: Transaction, limit: number): Promise<{ readonly replicaId: Id; readonly minutes: readonly Instant[] }[]>;
  /** Locks it until the transaction ends; a new one is closed up to the minute of its first capacity. */
  lockReplica(tx: Transaction, replicaId: Id): Promise<MeteredReplica>;
  /** The same for several at once, of which nothing is changed: usage of theirs waits. */
  lockReplicas(tx: Transaction, replicaIds: readonly Id[]): Promise<void>;
  saveReplica(tx: Transaction, replica: MeteredReplica): Promise<void>;
  /** Prices and states of these replicas, with price steps over `[from, to)`. */
  costedReplicas(
    tx: Transaction,
    replicaIds: readonly Id[],
    range: { readonly from: Instant; readonly to: Instant },
  ): Promise<CostedReplica[]>;
  /** Usage of minutes of `[from, to)` by replica and minute. */
  usageOf(
    tx: Transaction,
    replicaIds: readonly Id[],
    range: { readonly from: Instant; readonly to: Instant },
  ): Promise<ReadonlyMap<Id, ReadonlyMap<Instant, BusyGroup[]>>>;
  /** Of its own offering's price only. */
  bookedLines(tx: Transaction, replicaId: Id, minutes: readonly Instant[]): Promise<ReadonlyMap<Instant, BookedLine[]>>;
  /** Appends lines and adds them to the hourly sums, making the month's partition where it is missing. */
  appendLines(tx: Transaction, lines: readonly LedgerLine[], now: Instant): Promise<void>;
  dropRestatements(tx: Transaction, replicaId: Id, minutes: readonly Instant[]): Promise<void>;
  /** Forgets usage of minutes before `before`, at most `limit` rows. Returns how many. */
  pruneUsage(tx: Transaction, before: Instant, limit: number): Promise<number>;
}
