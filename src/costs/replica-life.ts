import type { ReplicaState } from '../deployments/cluster.port.ts';
import type { Instant } from '../kernel/instant.ts';

/** A replica as its runtime observed it: a slot with a beginning, an end, and one state at each instant between. */
export interface ReplicaLife {
  readonly capacityFrom: Instant;
  /** Null while the slot is held. */
  readonly capacityUntil: Instant | null;
  /** In the order in which they were written. */
  readonly transitions: readonly { readonly at: Instant; readonly state: ReplicaState }[];
}

/** A stretch of time in one state. */
export interface Piece {
  readonly from: Instant;
  readonly to: Instant;
  readonly state: ReplicaState;
}

/**
 * The states over `[from, to)`, without gap and overlap where the slot was held, nothing outside. Before the first transition a
 * replica is starting; a transition never takes effect before the one written earlier.
 */
export function piecesOf(life: ReplicaLife, from: Instant, to: Instant): Piece[] {
  const end = Math.min(to, life.capacityUntil ?? to);
  const pieces: Piece[] = [];
  let at = Math.max(from, life.capacityFrom);
  let state: ReplicaState = 'starting';
  for (const transition of life.transitions) {
    const until = Math.min(transition.at, end);
    if (until > at) {
      pieces.push({ from: at, to: until, state });
      at = until;
    }
    state = transition.state;
  }
  if (end > at) pieces.push({ from: at, to: end, state });
  return pieces;
}
