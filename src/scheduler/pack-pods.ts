import type { PodMix, TypicalPods } from './pack-mix.ts';
import type { PackedCluster, PackPod, Place, PodKind, RoomClass, ScoredPlace } from './pack-cluster.ts';
import { fitsIn, gpuDemandOf, placesFor, roomAfter, type FreeRoom, type PodNeed } from './pack-room.ts';
import { strandedIn } from './pack-stranding.ts';

/** Chooses a place for a pod; null = it fits nowhere. */
export interface PackPolicy {
  /** Told of every pod that arrives, before its place is chosen. */
  observe?(kind: PodKind): void;
  choose(kind: PodKind, rooms: Iterable<RoomClass>): Place | null;
}

/** Why a pod was not placed; one that is held back would have fitted. */
export type RefusalCode = 'NO_SUCH_DEVICE' | 'NEVER_FITS' | 'NO_ROOM' | 'HELD_BACK';

export interface Refusal {
  readonly pod: string;
  readonly kind: PodKind;
  readonly code: RefusalCode;
}

/** Places one pod after the other, in the order given; who does not fit, or shall wait, is refused, with the reason. */
export function packPods(
  cluster: PackedCluster,
  pods: readonly PackPod[],
  policy: PackPolicy,
  waits: (kind: PodKind) => boolean = () => false,
): { readonly refused: Refusal[] } {
  const refused: Refusal[] = [];
  // Nobody leaves, so who did not fit once never will.
  const codes: RefusalCode[] = [];
  for (const pod of pods) {
    const kind = cluster.kindOf(pod);
    policy.observe?.(kind);
    const full = codes[kind.index];
    const place = full ? null : policy.choose(kind, cluster.rooms);
    if (place && waits(kind)) refused.push({ pod: pod.name, kind, code: 'HELD_BACK' });
    else if (place) cluster.take(pod.name, kind, place);
    else refused.push({ pod: pod.name, kind, code: (codes[kind.index] = full ?? refusalOf(cluster, kind.need)) });
  }
  return { refused };
}

/** Scores every room once for each kind and keeps the score until `version` changes. */
export interface RoomScore {
  readonly version: () => number;
  /** Of a room that the pod fits in. */
  readonly score: (rooms: RoomClass, need: PodNeed) => ScoredPlace;
}

/** The lowest score; of equals the first by the room's key. */
export function bestPlace(kind: PodKind, rooms: Iterable<RoomClass>, by: RoomScore): Place | null {
  const stamp = by.version();
  let best: RoomClass | null = null;
  let lowest = Infinity;
  let gpus: readonly number[] = [];
  for (const room of rooms) {
    const scored = scoreIn(room, kind, by, stamp);
    if (scored === null || scored.score > lowest) continue;
    if (scored.score === lowest && best !== null && room.key > best.key) continue;
    [best, lowest, gpus] = [room, scored.score, scored.gpus];
  }
  return best && { room: best, gpus };
}

/** null = a pod of this kind does not fit. */
export function scoreIn(rooms: RoomClass, kind: PodKind, by: RoomScore, stamp: number = by.version()): ScoredPlace | null {
  if (rooms.stamp !== stamp) {
    rooms.stamp = stamp;
    rooms.scores = [];
    rooms.measured = null;
  }
  const known = rooms.scores[kind.index];
  if (known !== undefined) return known;
  const scored = fitsIn(rooms.room, kind.need) ? by.score(rooms, kind.need) : null;
  rooms.scores[kind.index] = scored;
  return scored;
}

/**
 * Where the pod strands least, judged by the mix of what has arrived so far. Rooms that it strands equally are told apart by best fit, so that
 * pods without devices keep off the nodes whose CPU the devices need.
 */
export function leastStranding(mix: PodMix): PackPolicy {
  const measure = growthOf(mix, strandedIn);
  return {
    observe: (kind) => mix.observe(kind),
    choose: (kind, rooms) => bestPlace(kind, rooms, measure),
  };
}

export type Measure = (room: FreeRoom, typical: TypicalPods) => number;

/** Scores a room by how much the measure grows when the pod takes its best devices there. */
export function growthOf(mix: Pick<PodMix, 'typical' | 'version'>, measure: Measure): RoomScore {
  return {
    version: () => mix.version,
    score(rooms, need) {
      const { room } = rooms;
      const typical = mix.typical(room.model);
      let [least, best]: [number, readonly number[]] = [Infinity, []];
      for (const gpus of placesFor(room, need)) {
        const value = measure(roomAfter(room, need, gpus), typical);
        if (value < least) [least, best] = [value, gpus];
      }
      return { score: least - (rooms.measured ??= measure(room, typical)) + TIE_WEIGHT * leftoverOf(room, need), gpus: best };
    },
  };
}

/** Small enough never to outweigh a thousandth of a device. */
const TIE_WEIGHT = 0.00004;

/** One device weighs as much as 16 CPUs. */
const CPU_MILLI_PER_GPU_MILLI = 16;

/** What is left in thousandths of a device: the less, the better the fit. */
export const leftoverOf = (room: FreeRoom, need: PodNeed): number =>
  room.gpuMilli - gpuDemandOf(need) + (room.cpuMilli - need.cpuMilli) / CPU_MILLI_PER_GPU_MILLI;

function refusalOf(cluster: PackedCluster, need: PodNeed): RefusalCode {
  const nodes = cluster.nodes.map(({ node }) => node);
  const models = nodes.filter(({ model }) => need.gpus === 0 || need.models.length === 0 || need.models.includes(model));
  if (models.length === 0) return 'NO_SUCH_DEVICE';
  const large = models.some(
    (node) => node.cpuMilli >= need.cpuMilli && node.memoryMib >= need.memoryMib && node.gpus >= need.gpus,
  );
  return large ? 'NO_ROOM' : 'NEVER_FITS';
}
