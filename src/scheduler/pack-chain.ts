import type { PodKind } from './pack-cluster.ts';
import { firstOf, nodeFits, type Alike, type Device, type DeviceBoard, type Guest } from './pack-board.ts';
import type { PodNeed } from './pack-room.ts';

/** Somebody sits down on a device. */
export interface Hop {
  readonly guest: Guest;
  readonly to: Device;
}

export interface ChainRules {
  /** Pods that leave their place on the way. */
  readonly length: number;
  readonly mayLeave: (pod: string) => boolean;
  /** Whether such a pod fits somewhere as things are. */
  readonly hasHome: (kind: PodKind) => boolean;
}

/**
 * Exchanges tried for one pod. Higher finds a chain on clusters where hardly two devices are shared alike, by a search that is longer in proportion;
 * lower gives up early there.
 */
const MAX_TRIED = 20_000;

/**
 * Makes room for a pod of one device by a chain: it takes the place of another, who takes the place of the next, until the last one fits where
 * nobody has to leave; that may be where the first one left. The first hop is the newcomer's; null = there is no such chain. The board is left
 * as it was.
 */
export function findChain(board: DeviceBoard, newcomer: Guest, rules: ChainRules): readonly Hop[] | null {
  return new ChainSearch(board, rules).from(newcomer, rules.length);
}

class ChainSearch {
  readonly #board: DeviceBoard;
  readonly #rules: ChainRules;
  readonly #hops: Hop[] = [];
  /** Shares of which some pod has a home as things are. */
  readonly #homely: ReadonlySet<number>;
  /** Exchanges that led nowhere: who comes, who leaves and what is free there is nearly always all that decides. */
  readonly #vain = new Set<string>();
  #tried = 0;

  constructor(board: DeviceBoard, rules: ChainRules) {
    [this.#board, this.#rules] = [board, rules];
    const guests = board.alike.flatMap(({ devices }) => [...devices].flatMap((device) => device.guests));
    this.#homely = new Set(guests.filter(({ kind }) => rules.hasHome(kind)).map(({ kind }) => kind.need.gpuMilli));
  }

  from(guest: Guest, length: number): readonly Hop[] | null {
    if (length === 0) {
      const to = this.#board.homeOf(guest.kind.need);
      return to && [...this.#hops, { guest, to }];
    }
    for (const alike of this.#board.alike) {
      for (const share of alike.shares.filter((one) => isExchange(alike, one, guest.kind.need))) {
        const chain = length > 1 || this.#hasHome(share) ? this.#through(alike, share, guest, length) : null;
        if (chain || this.#tried >= MAX_TRIED) return chain;
      }
    }
    return null;
  }

  #through(alike: Alike, share: number, guest: Guest, length: number): readonly Hop[] | null {
    const mayLeave = ({ pod, kind }: Guest): boolean => kind.need.gpuMilli === share && this.#mayLeave(pod, kind, length);
    const way = [guest.kind.need.gpuMilli, alike.free, share, ...this.#hops.map(({ to }) => to.alike.free)].join();
    const exchange = this.#vain.has(way) ? null : exchangeOn(alike, guest.kind.need, mayLeave);
    if (!exchange) return null;
    this.#tried += 1;
    const { device, leaving } = exchange;
    this.#board.remove(device, leaving);
    this.#board.put(device, guest);
    this.#hops.push({ guest, to: device });
    const chain = this.from(leaving, length - 1);
    this.#hops.pop();
    this.#board.remove(device, guest);
    this.#board.put(device, leaving);
    if (!chain) this.#vain.add(way);
    return chain;
  }

  /** Once each; and who leaves last needs a home, where the chain has made room or where there was some. */
  #mayLeave(pod: string, kind: PodKind, length: number): boolean {
    if (!this.#rules.mayLeave(pod) || this.#hops.some(({ guest }) => guest.pod === pod)) return false;
    return length > 1 || this.#isHop(kind.need.gpuMilli) || this.#rules.hasHome(kind);
  }

  #hasHome(share: number): boolean {
    return this.#homely.has(share) || this.#isHop(share);
  }

  /** Whether the chain has made room for this share. */
  #isHop(share: number): boolean {
    return this.#hops.some(({ to }) => to.alike.free >= share);
  }
}

/** Whether the pod would fit if this share left, and only then. */
const isExchange = ({ free, devices }: Alike, share: number, { gpuMilli }: PodNeed): boolean =>
  devices.size > 0 && free < gpuMilli && free + share >= gpuMilli && share !== gpuMilli;

function exchangeOn(
  { devices }: Alike,
  need: PodNeed,
  mayLeave: (guest: Guest) => boolean,
): { readonly device: Device; readonly leaving: Guest } | null {
  for (const device of devices) {
    const leaving = firstOf(device.guests, (guest) => mayLeave(guest) && nodeFits(device.node, need, guest.kind.need));
    if (leaving) return { device, leaving };
  }
  return null;
}
