import type { Instant } from '../kernel/instant.ts';
import type { BillSource } from './bill.port.ts';
import type { CapacityType } from './offering.ts';
import type { PriceFeed } from './price-feed.port.ts';

/** What a pool's machines are. */
export interface CloudPool {
  /**
   * `<installation>/<cluster>/<pool>` (`pool-key.ts`): names the pool for good, in tags of the provider, so that every repeat of every verb means the
   * same pool.
   */
  readonly key: string;
  readonly region: string | null;
  readonly zone: string | null;
  readonly instanceType: string | null;
  readonly capacityType: CapacityType;
  /** Its nodes must join with these. */
  readonly labels: Readonly<Record<string, string>>;
  /** The provider's own settings: image, network, script. Never a secret. */
  readonly config: Readonly<Record<string, string>>;
}

export type CloudNodePhase = 'starting' | 'running' | 'stopping' | 'gone';

/** A machine of a pool. */
export interface CloudNode {
  /** The provider's own name of the machine; never reused. */
  readonly instanceId: string;
  /** Of the node that it joins as; null while it is not known. */
  readonly nodeName: string | null;
  readonly phase: CloudNodePhase;
  /** Since when it is in this phase. */
  readonly since: Instant;
}

/** A pool as its provider sees it: both parts are of one moment. */
export interface CloudPoolState {
  /** Machines that are wished for and not given back. */
  readonly desired: number;
  /** By instance id; those that are gone stay for at least an hour. */
  readonly nodes: readonly CloudNode[];
}

/** Somebody will take a machine away. */
export interface CloudInterruption {
  readonly instanceId: string;
  readonly nodeName: string | null;
  readonly noticedAt: Instant;
  /** When it will be gone at the earliest; null = the provider does not say. */
  readonly goneAt: Instant | null;
  readonly message: string;
}

/** Proof of leadership; a provider that remembers epochs refuses a lower one than it has seen. */
export interface CloudFence {
  readonly epoch: number;
}

export const CLOUD_REFUSALS = ['STOCK_OUT', 'QUOTA', 'INVALID', 'NO_SUCH_POOL', 'NAME_MACHINES'] as const;

export type CloudRefusal = (typeof CLOUD_REFUSALS)[number];

export type CloudResult =
  /** Wished for; it shows in `observeNodes` sooner or later. */
  | { readonly outcome: 'accepted' }
  | { readonly outcome: 'stale_epoch' }
  /** Nothing was changed. `retryAfterMs`: when asking again may help; null = not before somebody changes something. */
  | {
      readonly outcome: 'refused';
      readonly reason: CloudRefusal;
      readonly message: string;
      readonly retryAfterMs: number | null;
    };

/**
 * Thrown by every verb when the provider cannot be asked or did not answer in time. Whether the verb had its effect is *unknown*; nothing
 * may be concluded from it, and the same call again is always right.
 */
export class CloudUnknown extends Error {
  override readonly name = 'CloudUnknown';
}

/** Rents machines that join a cluster as nodes. Wishes, not commands: every verb says what shall be, and can be said again. */
export interface MachineProvider {
  readonly name: string;

  /**
   * Makes the pool exist as described, with no machine if it is new; machines that run stay as they are, later ones follow the new
   * description. What has its name and was made by others stays theirs: `INVALID`. Repeats are without effect, at once or years later. After `CloudUnknown`: say it again.
   */
  ensurePool(pool: CloudPool, fence: CloudFence): Promise<CloudResult>;

  /**
   * `desired` is how many machines the pool shall have in all, never "one more": a repeat asks for nothing new. Fewer than it has only by
   * naming in `release` whom to give back, as many as it shrinks by; a provider never chooses (`NAME_MACHINES`). Machines in `release` that are
   * stopping or gone already do not count against `desired` and change nothing. More: some may come and others not (`STOCK_OUT` later shows
   * as `desired` without machines). After `CloudUnknown`: look with `observeNodes` and say again what is still wanted.
   */
  scalePool(
    key: string,
    wish: { readonly desired: number; readonly release: readonly string[] },
    fence: CloudFence,
  ): Promise<CloudResult>;

  /**
   * Why a pool so described cannot be asked for by the settings of now, though its machines may run: its region or cluster left them. Null = it
   * can be. Asks nobody. While there is a reason, the other verbs may find no such pool, and nothing follows from that.
   */
  outOfReach(pool: Pick<CloudPool, 'region' | 'config'>): string | null;

  /** Gives every machine back and forgets the pool. An absent pool is `accepted`. After `CloudUnknown`: say it again. */
  deletePool(key: string, fence: CloudFence): Promise<CloudResult>;

  /**
   * The pool as of now or a little while ago: a machine that was just asked for may not show yet, one that is gone may still show. Null =
   * there is no such pool. Never partial: throws instead. Safe to repeat.
   */
  observeNodes(key: string): Promise<CloudPoolState | null>;

  /**
   * The notices that are open now, not a queue: each stays until its machine is gone, so that one that was missed is in the next answer, too. Safe
   * to repeat.
   */
  interruptions(): Promise<readonly CloudInterruption[]>;
}

/** A provider with all that is known of it: machines, prices, bills. */
export interface CloudProvider extends MachineProvider, PriceFeed, BillSource {}
