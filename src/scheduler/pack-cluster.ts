import { invariant } from '../kernel/invariant.ts';
import { fitsIn, gpuDemandOf, needKeyOf, roomKeyOf, WHOLE_GPU, type FreeRoom, type PodNeed } from './pack-room.ts';

export interface PackNode {
  readonly name: string;
  readonly cpuMilli: number;
  readonly memoryMib: number;
  readonly gpus: number;
  readonly model: string;
}

export interface PackPod extends PodNeed {
  readonly name: string;
}

/** All pods with the same need; numbered in the order in which they were first seen. */
export interface PodKind {
  readonly index: number;
  readonly need: PodNeed;
}

/** Where a pod sits. */
export interface Seat {
  readonly pod: string;
  readonly kind: PodKind;
  readonly node: string;
  /** The devices it holds, by their number on the node. */
  readonly devices: readonly number[];
}

/** A place that a pod may take: any node with this room, these devices of the room's list. */
export interface Place {
  readonly room: RoomClass;
  readonly gpus: readonly number[];
}

/** The devices of a room that suit a pod best, and how well: lower is better. */
export interface ScoredPlace {
  readonly score: number;
  readonly gpus: readonly number[];
}

/** All nodes with the same free room: what holds for one holds for all, so it is scored once. */
export interface RoomClass {
  readonly room: FreeRoom;
  readonly key: string;
  /** Ranks of the nodes in the order of their names. */
  readonly nodes: Set<number>;
  /** What a policy worked out for this room by the kind's index, under its own stamp; null = such a pod does not fit. */
  scores: (ScoredPlace | null | undefined)[];
  /** What it measured of the room itself, under the same stamp. */
  measured: number | null;
  stamp: number;
}

/** A node and who sits there. */
export interface PackedNode {
  readonly node: PackNode;
  /** Free thousandths by device number. */
  readonly devices: readonly number[];
  readonly seats: ReadonlyMap<string, Seat>;
  readonly rooms: RoomClass;
}

interface NodeState extends PackedNode {
  readonly devices: number[];
  readonly seats: Map<string, Seat>;
  rooms: RoomClass;
}

/** Nodes, their free room and who sits where. Changing it is the only thing that it does; who sits where is a policy's choice. */
export class PackedCluster {
  readonly #nodes: NodeState[];
  readonly #ranks: ReadonlyMap<string, number>;
  readonly #rooms = new Map<string, RoomClass>();
  readonly #kinds = new Map<string, PodKind>();
  readonly #seats = new Map<string, Seat>();
  readonly gpuMilli: number;
  #allocatedGpuMilli = 0;

  constructor(nodes: readonly PackNode[]) {
    const sorted = [...nodes].sort((a, b) => (a.name < b.name ? -1 : 1));
    this.#ranks = new Map(sorted.map(({ name }, rank) => [name, rank]));
    invariant(this.#ranks.size === nodes.length, 'two nodes have one name');
    this.gpuMilli = nodes.reduce((sum, { gpus }) => sum + gpus * WHOLE_GPU, 0);
    this.#nodes = sorted.map((node, rank) => {
      const devices = Array.from({ length: node.gpus }, () => WHOLE_GPU);
      return { node, devices, seats: new Map<string, Seat>(), rooms: this.#join(rank, emptyRoomOf(node)) };
    });
  }

  get allocatedGpuMilli(): number {
    return this.#allocatedGpuMilli;
  }

  get rooms(): Iterable<RoomClass> {
    return this.#rooms.values();
  }

  get seats(): ReadonlyMap<string, Seat> {
    return this.#seats;
  }

  get nodes(): readonly PackedNode[] {
    return this.#nodes;
  }

  nodeNamed(name: string): PackedNode {
    return this.#nodeOf(name);
  }

  kindOf(need: PodNeed): PodKind {
    const key = needKeyOf(need);
    const known = this.#kinds.get(key);
    if (known) return known;
    const kind = { index: this.#kinds.size, need };
    this.#kinds.set(key, kind);
    return kind;
  }

  /** The first node by name with this room, other than those named. */
  nodeWith(room: RoomClass, except: readonly string[]): string | null {
    const rank = lowest(room.nodes, new Set(except.map((name) => this.#ranks.get(name) ?? -1)));
    return this.#nodes[rank]?.node.name ?? null;
  }

  /** Gives the pod its place on the first such node by name, or on `node`. */
  take(pod: string, kind: PodKind, place: Place, node?: string): Seat {
    const rank = node === undefined ? lowest(place.room.nodes, NOBODY) : (this.#ranks.get(node) ?? -1);
    const state = this.#nodes[rank];
    invariant(state?.rooms === place.room, `${pod}: the room changed`);
    return this.takeDevices(pod, kind, state.node.name, devicesFor(state.devices, place));
  }

  /** Gives the pod exactly these devices. */
  takeDevices(pod: string, kind: PodKind, node: string, devices: readonly number[]): Seat {
    const state = this.#nodeOf(node);
    const { need } = kind;
    invariant(!this.#seats.has(pod), `${pod} sits already`);
    invariant(fitsIn(state.rooms.room, need) && devices.length === need.gpus, `${pod} does not fit there`);
    for (const device of devices) {
      const left = (state.devices[device] ?? 0) - need.gpuMilli;
      invariant(left >= 0, `${pod}: device ${device} is too full`);
      state.devices[device] = left;
    }
    const seat = { pod, kind, node, devices };
    state.seats.set(pod, seat);
    this.#seats.set(pod, seat);
    this.#allocatedGpuMilli += gpuDemandOf(need);
    this.#moveTo(this.#ranks.get(node) ?? -1, state, roomWith(state.rooms.room, need, state.devices, -1));
    return seat;
  }

  give(pod: string): Seat {
    const seat = this.#seats.get(pod);
    invariant(seat !== undefined, `${pod} sits nowhere`);
    const state = this.#nodeOf(seat.node);
    const { need } = seat.kind;
    for (const device of seat.devices) state.devices[device] = (state.devices[device] ?? 0) + need.gpuMilli;
    state.seats.delete(pod);
    this.#seats.delete(pod);
    this.#allocatedGpuMilli -= gpuDemandOf(need);
    this.#moveTo(this.#ranks.get(seat.node) ?? -1, state, roomWith(state.rooms.room, need, state.devices, 1));
    return seat;
  }

  /** The room of a node if these pods were gone from it. */
  roomWithout(node: string, seats: readonly Seat[]): FreeRoom {
    const state = this.#nodeOf(node);
    const devices = [...state.devices];
    return seats.reduce((room, { kind, devices: held }) => {
      for (const device of held) devices[device] = (devices[device] ?? 0) + kind.need.gpuMilli;
      return roomWith(room, kind.need, devices, 1);
    }, state.rooms.room);
  }

  #nodeOf(name: string): NodeState {
    const state = this.#nodes[this.#ranks.get(name) ?? -1];
    invariant(state !== undefined, `there is no node ${name}`);
    return state;
  }

  #moveTo(rank: number, state: NodeState, room: FreeRoom): void {
    state.rooms.nodes.delete(rank);
    if (state.rooms.nodes.size === 0) this.#rooms.delete(state.rooms.key);
    state.rooms = this.#join(rank, room);
  }

  #join(rank: number, room: FreeRoom): RoomClass {
    const key = roomKeyOf(room);
    const rooms = this.#rooms.get(key) ?? {
      room,
      key,
      nodes: new Set<number>(),
      scores: [],
      measured: null,
      stamp: -1,
    };
    this.#rooms.set(key, rooms);
    rooms.nodes.add(rank);
    return rooms;
  }
}

const emptyRoomOf = ({ model, cpuMilli, memoryMib, gpus }: PackNode): FreeRoom => ({
  ...{ model, cpuMilli, memoryMib, gpuMilli: gpus * WHOLE_GPU },
  gpusMilli: Array.from({ length: gpus }, () => WHOLE_GPU),
});

/** What is free once a pod has given back what it needs (`times` 1) or has taken it (-1); the devices are free as they say. */
const roomWith = (room: FreeRoom, need: PodNeed, devices: readonly number[], times: 1 | -1): FreeRoom => ({
  model: room.model,
  cpuMilli: room.cpuMilli + times * need.cpuMilli,
  memoryMib: room.memoryMib + times * need.memoryMib,
  gpusMilli: [...devices].sort((a, b) => b - a),
  gpuMilli: room.gpuMilli + times * gpuDemandOf(need),
});

/** The node's devices that are as free as the chosen ones of the list. */
function devicesFor(devices: readonly number[], { room, gpus }: Place): number[] {
  const taken: number[] = [];
  for (const place of gpus)
    taken.push(devices.findIndex((free, at) => free === room.room.gpusMilli[place] && !taken.includes(at)));
  return taken;
}

const NOBODY: ReadonlySet<number> = new Set();

function lowest(ranks: ReadonlySet<number>, except: ReadonlySet<number>): number {
  let low = Infinity;
  for (const rank of ranks) if (rank < low && !except.has(rank)) low = rank;
  return low;
}
