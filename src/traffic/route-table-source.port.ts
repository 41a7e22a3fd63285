import type { Id } from '../kernel/id.ts';
import type { RouteTable } from './router-contract/route-table.ts';

/** Where the router link takes its tables from. */
export interface RouteTableSource {
  /** The whole table as it is now; null until the first one has been made. Never blocks. */
  current(): RouteTable | null;
  /** Calls `listener` after each change, as often as it likes (the link coalesces); answers how to stop. Listeners must not throw. */
  changed(listener: () => void): () => void;
  /**
   * Which of these replicas were ever routable: asked for usage of replicas that this process has not sent itself, because a router
   * may outlive it. Without it such rows are refused.
   */
  everRouted?(replicaIds: readonly Id[]): Promise<ReadonlySet<Id>>;
}
