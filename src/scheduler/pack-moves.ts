import type { PackedCluster, PodKind, Seat } from './pack-cluster.ts';
import type { PackPolicy } from './pack-pods.ts';
import { fitsIn, gpuDemandOf } from './pack-room.ts';

/** A pod that waits for room. */
export interface WaitingPod {
  readonly pod: string;
  readonly kind: PodKind;
}

/** A pod goes elsewhere, or one that waited gets a seat (`from` is null). Done in order, no node is ever over its capacity. */
export interface PackStep {
  readonly pod: string;
  readonly from: string | null;
  readonly to: string;
}

export interface MovePlan {
  readonly steps: readonly PackStep[];
  readonly moved: number;
  readonly seated: number;
}

export interface MoveOptions {
  /** Pods that may be moved at most. */
  readonly maxMoves: number;
  /** Chooses where pods go. */
  readonly policy: PackPolicy;
}

/** Pods that one waiting pod may displace. Higher finds room for more, by a search that is longer by the pods of a node for each. */
const MAX_DISPLACED = 2;

/**
 * Makes room for pods that wait by moving few others, first where a move gains most. A moved pod is seated at its new place before it leaves the old
 * one, and moves once. Changes the cluster as the plan says.
 */
export function planMoves(cluster: PackedCluster, waiting: readonly WaitingPod[], options: MoveOptions): MovePlan {
  const repack = new Repack(cluster, waiting, options);
  repack.seatWhatFits();
  for (const { queue, displaced } of repack.attempts()) {
    while (queue.pods.length > 0 && repack.makeRoom(queue, displaced)) repack.seatWhatFits();
  }
  const { steps } = repack;
  const seated = steps.filter(({ from }) => from === null).length;
  return { steps, seated, moved: steps.length - seated };
}

/** Waiting pods of one kind, who came first last. */
interface Queue {
  readonly kind: PodKind;
  readonly pods: string[];
}

class Repack {
  readonly steps: PackStep[] = [];
  readonly #cluster: PackedCluster;
  readonly #options: MoveOptions;
  readonly #queues: readonly Queue[];
  readonly #moved = new Set<string>();
  /** Whether some node has room for a kind; forgotten when something changes. */
  #homes = new Map<PodKind, boolean>();

  constructor(cluster: PackedCluster, waiting: readonly WaitingPod[], options: MoveOptions) {
    [this.#cluster, this.#options] = [cluster, options];
    const byKind = Map.groupBy(waiting, ({ kind }) => kind);
    this.#queues = [...byKind]
      .map(([kind, pods]) => ({ kind, pods: pods.map(({ pod }) => pod).reverse() }))
      .sort((a, b) => gpuDemandOf(b.kind.need) - gpuDemandOf(a.kind.need) || a.kind.need.cpuMilli - b.kind.need.cpuMilli);
  }

  /** Whom to make room for, and at how many moves: the most devices for a move first. Pods without devices are not worth a move. */
  attempts(): { readonly queue: Queue; readonly displaced: number }[] {
    return this.#queues
      .filter(({ kind }) => kind.need.gpus > 0)
      .flatMap((queue) => Array.from({ length: MAX_DISPLACED }, (_, more) => ({ queue, displaced: more + 1 })))
      .sort((a, b) => gpuDemandOf(b.queue.kind.need) / b.displaced - gpuDemandOf(a.queue.kind.need) / a.displaced);
  }

  seatWhatFits(): void {
    for (const { kind, pods } of this.#queues) {
      for (let pod = pods.at(-1); pod !== undefined; pod = pods.at(-1)) {
        const place = this.#options.policy.choose(kind, this.#cluster.rooms);
        if (!place) break;
        pods.pop();
        this.#seat(pod, kind, this.#cluster.nodeWith(place.room, []));
      }
    }
  }

  makeRoom({ kind, pods }: Queue, displaced: number): boolean {
    if (this.#moved.size + displaced > this.#options.maxMoves) return false;
    for (const { node, seats } of this.#cluster.nodes) {
      const movable = [...seats.values()].filter((seat) => !this.#moved.has(seat.pod) && this.#hasHome(seat.kind));
      for (const leaving of combinations(movable, displaced)) {
        if (!fitsIn(this.#cluster.roomWithout(node.name, leaving), kind.need)) continue;
        const homes = this.#homesFor(leaving, node.name);
        if (!homes) continue;
        for (const [at, seat] of leaving.entries()) this.#move(seat, homes[at] ?? '');
        this.#seat(pods.pop() ?? '', kind, node.name);
        return true;
      }
    }
    return false;
  }

  #hasHome(kind: PodKind): boolean {
    const known = this.#homes.get(kind);
    if (known !== undefined) return known;
    const found = this.#options.policy.choose(kind, this.#cluster.rooms) !== null;
    this.#homes.set(kind, found);
    return found;
  }

  /** A node for each, all different, so that one does not take what another counts on; null = one of them has none. */
  #homesFor(leaving: readonly Seat[], from: string): string[] | null {
    const taken = [from];
    for (const { kind } of leaving) {
      const others = [...this.#cluster.rooms].filter((room) => this.#cluster.nodeWith(room, taken) !== null);
      const place = this.#options.policy.choose(kind, others);
      const home = place && this.#cluster.nodeWith(place.room, taken);
      if (!home) return null;
      taken.push(home);
    }
    return taken.slice(1);
  }

  #move({ pod, kind, node }: Seat, to: string): void {
    this.#cluster.give(pod);
    this.#moved.add(pod);
    this.#take(pod, kind, to);
    this.steps.push({ pod, from: node, to });
  }

  #seat(pod: string, kind: PodKind, node: string | null): void {
    if (node === null) return;
    this.#take(pod, kind, node);
    this.steps.push({ pod, from: null, to: node });
  }

  #take(pod: string, kind: PodKind, node: string): void {
    this.#homes = new Map();
    const place = this.#options.policy.choose(kind, [this.#cluster.roomOf(node)]);
    if (place) this.#cluster.take(pod, kind, place, node);
  }
}

function* combinations<T>(items: readonly T[], size: number, from = 0): Generator<T[]> {
  if (size === 0) yield [];
  else
    for (const [at, item] of items.slice(from).entries())
      for (const rest of combinations(items, size - 1, from + at + 1)) yield [item, ...rest];
}
