import type { Random } from '../kernel/random.ts';
import type { PackedCluster, PackPod, RoomClass } from '../scheduler/pack-cluster.ts';
import { typicalByModel, typicalOf } from '../scheduler/pack-mix.ts';
import { bestPlace, growthOf, leftoverOf, scoreIn, type PackPolicy, type RoomScore } from '../scheduler/pack-pods.ts';
import { fitsIn, placesFor, WHOLE_GPU, type FreeRoom, type PodNeed } from '../scheduler/pack-room.ts';
import { fragmentOf } from '../scheduler/pack-stranding.ts';

/** The room that is left with least, of its devices the fullest. */
export const bestFit: PackPolicy = {
  choose: (kind, rooms) =>
    bestPlace(kind, rooms, {
      version: () => 0,
      score: ({ room }, need) => ({ score: leftoverOf(room, need), gpus: tightest(room, need) }),
    }),
};

/** Any node that has room, any device that has. */
export const randomFit = (random: Random): PackPolicy => ({
  choose(kind, rooms) {
    const room = drawn(
      [...rooms].filter((one) => fitsIn(one.room, kind.need)),
      random,
    );
    if (!room) return null;
    const places = placesFor(room.room, kind.need);
    return { room, gpus: places[Math.floor(random.fraction() * places.length)] ?? [] };
  },
});

/**
 * Fragmentation gradient descent as published (Weng et al., ATC 2023) and as its authors' scheduler scores: the typical pods are known
 * beforehand, a score is rounded to hundredths, and of equal nodes the first by name is taken.
 */
export function publishedDescent(cluster: PackedCluster, workload: readonly PackPod[]): PackPolicy {
  const kinds = [...Map.groupBy(workload, (pod) => cluster.kindOf(pod))];
  const typical = typicalOf(
    kinds.map(([kind, pods]) => ({ kind, count: pods.length })),
    0,
  );
  const growth = growthOf({ version: 0, typical: typicalByModel(typical) }, fragmentOf);
  const rounded = (rooms: RoomClass, need: PodNeed) => {
    const { score, gpus } = growth.score(rooms, need);
    return { score: -Math.floor(100 / (1 + Math.exp(score / WHOLE_GPU))), gpus };
  };
  const by: RoomScore = { version: () => 0, score: rounded };
  return {
    choose(kind, rooms) {
      const best = lowest(rooms, (one) => scoreIn(one, kind, by)?.score ?? Infinity);
      const room = best.sort((a, b) => Math.min(...a.nodes) - Math.min(...b.nodes))[0];
      return room ? { room, gpus: scoreIn(room, kind, by)?.gpus ?? [] } : null;
    },
  };
}

const tightest = (room: FreeRoom, need: PodNeed): readonly number[] => placesFor(room, need).at(-1) ?? [];

/** Those that score lowest; none of those that score infinity. */
function lowest(rooms: Iterable<RoomClass>, scoreOf: (room: RoomClass) => number): RoomClass[] {
  let [low, best]: [number, RoomClass[]] = [Infinity, []];
  for (const room of rooms) {
    const score = scoreOf(room);
    if (score < low) [low, best] = [score, [room]];
    else if (score === low && score < Infinity) best.push(room);
  }
  return best;
}

/** Every node is as likely as any other. */
function drawn(rooms: readonly RoomClass[], random: Random): RoomClass | null {
  const nodes = rooms.reduce((sum, room) => sum + room.nodes.size, 0);
  let left = Math.floor(random.fraction() * nodes);
  for (const room of rooms) {
    if (left < room.nodes.size) return room;
    left -= room.nodes.size;
  }
  return null;
}
