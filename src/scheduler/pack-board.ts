import { invariant } from '../kernel/invariant.ts';
import type { PackedCluster, PodKind } from './pack-cluster.ts';
import { acceptsModel, WHOLE_GPU, type PodNeed } from './pack-room.ts';

/** Who sits on a device. */
export interface Guest {
  readonly pod: string;
  readonly kind: PodKind;
}

export interface Device {
  readonly node: BoardNode;
  /** Its number on the node. */
  readonly number: number;
  guests: readonly Guest[];
  alike: Alike;
}

export interface BoardNode {
  readonly name: string;
  readonly model: string;
  cpuMilli: number;
  memoryMib: number;
  devices: readonly Device[];
}

/** Devices that are shared in the same way: what would fill one fills another, if the node has CPU and memory for it. */
export interface Alike {
  /** Free thousandths. */
  readonly free: number;
  /** What guests take of it that may leave, each amount once. */
  readonly shares: readonly number[];
  readonly devices: Set<Device>;
}

/** The devices of a cluster by how they are shared, to try exchanges on before they are done. */
export class DeviceBoard {
  readonly #cluster: PackedCluster;
  readonly #nodes: ReadonlyMap<string, BoardNode>;
  readonly #alike = new Map<string, Alike>();

  constructor(cluster: PackedCluster) {
    this.#cluster = cluster;
    this.#nodes = new Map(
      cluster.nodes.map(({ node: { name, model } }) => [name, { name, model, cpuMilli: 0, memoryMib: 0, devices: [] }]),
    );
    for (const name of this.#nodes.keys()) this.refresh(name);
  }

  /** Some may be empty. */
  get alike(): readonly Alike[] {
    return [...this.#alike.values()];
  }

  /** Reads the node from the cluster again. */
  refresh(name: string): void {
    const node = this.#nodes.get(name);
    const now = this.#cluster.nodeNamed(name);
    invariant(node !== undefined, `there is no node ${name}`);
    for (const device of node.devices) device.alike.devices.delete(device);
    const { cpuMilli, memoryMib } = now.rooms.room;
    const guests = Array.from({ length: now.node.gpus }, (): Guest[] => []);
    for (const seat of now.seats.values()) for (const device of seat.devices) guests[device]?.push(seat);
    [node.cpuMilli, node.memoryMib] = [cpuMilli, memoryMib];
    node.devices = guests.map((on, number) => {
      const device: Device = { node, number, guests: on, alike: this.#alikeOf(on) };
      device.alike.devices.add(device);
      return device;
    });
  }

  /** On the board only. */
  put(device: Device, guest: Guest): void {
    this.#share(device, [...device.guests, guest], guest.kind.need, -1);
  }

  /** On the board only. */
  remove(device: Device, guest: Guest): void {
    const others = device.guests.filter((one) => one !== guest);
    this.#share(device, others, guest.kind.need, 1);
  }

  /** The fullest device that has room for a pod of one device. */
  homeOf(need: PodNeed): Device | null {
    let [home, least]: [Device | null, number] = [null, Infinity];
    for (const { free, devices } of this.#alike.values()) {
      if (free < need.gpuMilli || free >= least) continue;
      const found = firstOf(devices, ({ node }) => nodeFits(node, need));
      if (found) [home, least] = [found, free];
    }
    return home;
  }

  #share(device: Device, guests: readonly Guest[], need: PodNeed, times: 1 | -1): void {
    device.node.cpuMilli += times * need.cpuMilli;
    device.node.memoryMib += times * need.memoryMib;
    device.alike.devices.delete(device);
    device.guests = guests;
    device.alike = this.#alikeOf(guests);
    device.alike.devices.add(device);
  }

  #alikeOf(guests: readonly Guest[]): Alike {
    const shares = guests.map(({ kind }) => kind.need.gpuMilli).sort((a, b) => b - a);
    const key = shares.join('+');
    const known = this.#alike.get(key);
    if (known) return known;
    const free = shares.reduce((left, share) => left - share, WHOLE_GPU);
    const alike = { free, shares: [...new Set(shares)].filter((share) => share < WHOLE_GPU), devices: new Set<Device>() };
    this.#alike.set(key, alike);
    return alike;
  }
}

/** Whether the node would have the CPU and memory, once `leaving` has left. */
export const nodeFits = (node: BoardNode, need: PodNeed, leaving: Pick<PodNeed, 'cpuMilli' | 'memoryMib'> = NOTHING): boolean =>
  need.cpuMilli <= node.cpuMilli + leaving.cpuMilli &&
  need.memoryMib <= node.memoryMib + leaving.memoryMib &&
  acceptsModel(need, node.model);

const NOTHING = { cpuMilli: 0, memoryMib: 0 };

export function firstOf<T>(items: Iterable<T>, wanted: (item: T) => boolean): T | null {
  for (const item of items) if (wanted(item)) return item;
  return null;
}
