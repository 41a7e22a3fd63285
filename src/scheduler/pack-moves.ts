import { invariant } from '../kernel/invariant.ts';
import { DeviceBoard, type Guest } from './pack-board.ts';
import { findChain, type Hop } from './pack-chain.ts';
import type { PackedCluster, PodKind, Seat } from './pack-cluster.ts';
import type { PackPolicy } from './pack-pods.ts';
import { fitsIn, gpuDemandOf } from './pack-room.ts';
import { StepLog, type PackStep } from './pack-steps.ts';

/** A pod that waits for room. */
export interface WaitingPod {
  readonly pod: string;
  readonly kind: PodKind;
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

/**
 * Pods moved for one that waits. Higher finds room for more, by a search that is longer by the pods of a node, or by the ways to share a device, for
 * each.
 */
const MAX_MOVES_EACH = 2;

/**
 * Makes room for pods that wait by moving few others, first where a move gains most; a pod moves once. Who still waits in the end fits nowhere.
 * Changes the cluster as the plan says.
 */
export function planMoves(cluster: PackedCluster, waiting: readonly WaitingPod[], options: MoveOptions): MovePlan {
  const repack = new Repack(cluster, waiting, options);
  repack.seatWhatFits();
  while (repack.seatByMoves());
  const { steps, moved } = repack.log;
  return { steps, moved: moved.size, seated: waiting.filter(({ pod }) => cluster.seats.has(pod)).length };
}

/** Waiting pods of one kind, who came first last. */
interface Queue {
  readonly kind: PodKind;
  readonly pods: string[];
}

interface Attempt {
  readonly queue: Queue;
  /** Pods moved for each that is seated. */
  readonly moves: number;
  /** Pods of one node that fit elsewhere leave it, or pods of several change places. */
  readonly how: 'displace' | 'chain';
}

class Repack {
  readonly log: StepLog;
  readonly #cluster: PackedCluster;
  readonly #board: DeviceBoard;
  readonly #options: MoveOptions;
  readonly #queues: readonly Queue[];
  /** Whether some node has room for a kind; forgotten when something changes. */
  readonly #homes = new Map<PodKind, boolean>();

  constructor(cluster: PackedCluster, waiting: readonly WaitingPod[], options: MoveOptions) {
    [this.#cluster, this.#options, this.#board] = [cluster, options, new DeviceBoard(cluster)];
    this.log = new StepLog(cluster, options.policy, (node) => {
      this.#homes.clear();
      this.#board.refresh(node);
    });
    this.#queues = [...Map.groupBy(waiting, ({ kind }) => kind)]
      .map(([kind, pods]) => ({ kind, pods: pods.map(({ pod }) => pod).reverse() }))
      .sort((a, b) => gpuDemandOf(b.kind.need) - gpuDemandOf(a.kind.need) || a.kind.need.cpuMilli - b.kind.need.cpuMilli);
  }

  seatWhatFits(): void {
    for (const { kind, pods } of this.#queues) {
      while (pods.length > 0 && this.#hasHome(kind)) {
        const place = this.#options.policy.choose(kind, this.#cluster.rooms);
        const node = place && this.#cluster.nodeWith(place.room, []);
        if (node) this.log.seat(pods.pop() ?? '', kind, node);
      }
    }
  }

  /** Tries once for everybody who waits; whether somebody was seated, so that what failed may succeed now. */
  seatByMoves(): boolean {
    const before = this.log.steps.length;
    const failed: Attempt[] = [];
    for (const attempt of attemptsOf(this.#queues)) {
      if (failed.some((easier) => isNoEasier(attempt, easier))) continue;
      while (attempt.queue.pods.length > 0 && this.#seatBy(attempt)) this.seatWhatFits();
      if (attempt.queue.pods.length > 0) failed.push(attempt);
    }
    return this.log.steps.length > before;
  }

  #seatBy({ queue, moves, how }: Attempt): boolean {
    if (this.log.moved.size + moves > this.#options.maxMoves) return false;
    return how === 'chain' ? this.#exchange(queue, moves) : this.#displace(queue, moves);
  }

  #displace({ kind, pods }: Queue, displaced: number): boolean {
    for (const { node, seats } of this.#cluster.nodes) {
      const movable = [...seats.values()].filter((seat) => !this.log.moved.has(seat.pod) && this.#hasHome(seat.kind));
      for (const leaving of combinations(movable, displaced)) {
        if (!fitsIn(this.#cluster.roomWithout(node.name, leaving), kind.need)) continue;
        const homes = this.#homesFor(leaving, node.name);
        if (!homes) continue;
        for (const [at, seat] of leaving.entries()) this.log.seat(seat.pod, seat.kind, homes[at] ?? '');
        this.log.seat(pods.pop() ?? '', kind, node.name);
        return true;
      }
    }
    return false;
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

  #exchange({ kind, pods }: Queue, length: number): boolean {
    const mayLeave = (pod: string): boolean => !this.log.moved.has(pod);
    const hasHome = (one: PodKind): boolean => this.#hasHome(one);
    const chain = findChain(this.#board, { pod: pods.at(-1) ?? '', kind }, { length, mayLeave, hasHome });
    if (!chain) return false;
    pods.pop();
    this.#walk(chain);
    return true;
  }

  /** The last hop first, so that there is room for the one before it; where pods change places, one stops to let the other in. */
  #walk(chain: readonly Hop[]): void {
    const left = chain.map(({ guest, to }) => ({ ...guest, node: to.node.name, device: to.number })).reverse();
    while (left.length > 0) {
      const next = left.findIndex(({ kind, node, device }) => this.#isFree(kind, node, device));
      for (const { pod, kind, node, device } of next < 0 ? [] : left.splice(next, 1)) this.log.seat(pod, kind, node, [device]);
      if (next < 0) this.#stopOneOf(left);
    }
  }

  #stopOneOf(guests: readonly Guest[]): void {
    const sitting = guests.find(({ pod }) => this.#cluster.seats.has(pod));
    invariant(sitting !== undefined, 'a chain leads where there is no room');
    this.log.stop(sitting.pod);
  }

  #isFree({ need }: PodKind, name: string, device: number): boolean {
    const { rooms, devices } = this.#cluster.nodeNamed(name);
    return fitsIn(rooms.room, need) && (devices[device] ?? 0) >= need.gpuMilli;
  }

  #hasHome(kind: PodKind): boolean {
    const known = this.#homes.get(kind);
    if (known !== undefined) return known;
    const found = [...this.#cluster.rooms].some(({ room }) => fitsIn(room, kind.need));
    this.#homes.set(kind, found);
    return found;
  }
}

/** Whom to make room for, how, and at how many moves: the most devices for a move first. Pods without devices are not worth a move. */
function attemptsOf(queues: readonly Queue[]): Attempt[] {
  const some = queues.filter(({ kind, pods }) => kind.need.gpus > 0 && pods.length > 0);
  const gain = ({ queue, moves }: Attempt): number => gpuDemandOf(queue.kind.need) / moves;
  return some
    .flatMap((queue) =>
      Array.from({ length: MAX_MOVES_EACH }, (_, more): Attempt[] => [
        { queue, moves: more + 1, how: 'displace' },
        ...(queue.kind.need.gpus === 1 && more > 0 ? [{ queue, moves: more + 1, how: 'chain' as const }] : []),
      ]).flat(),
    )
    .sort((a, b) => gain(b) - gain(a));
}

/** Whether a pod asks for at least as much as one for whom the same attempt has failed. */
function isNoEasier(attempt: Attempt, failed: Attempt): boolean {
  const [need, less] = [attempt.queue.kind.need, failed.queue.kind.need];
  return (
    attempt.how === failed.how &&
    attempt.moves === failed.moves &&
    need.gpus === less.gpus &&
    need.gpuMilli === less.gpuMilli &&
    need.cpuMilli >= less.cpuMilli &&
    need.memoryMib >= less.memoryMib &&
    (less.models.length === 0 || less.models.join() === need.models.join())
  );
}

function* combinations<T>(items: readonly T[], size: number, from = 0): Generator<T[]> {
  if (size === 0) yield [];
  else
    for (const [at, item] of items.slice(from).entries())
      for (const rest of combinations(items, size - 1, from + at + 1)) yield [item, ...rest];
}
