import type { TypicalPods } from './pack-mix.ts';
import { fitsIn, type FreeRoom, type PodNeed } from './pack-room.ts';

/**
 * Thousandths of devices of a room that what usually arrives cannot use, as published (Weng et al., "Beware of Fragmentation", ATC 2023, §4):
 * the mean over typical pods of all of it where the pod does not fit, else of the devices that are too full for it.
 */
export function fragmentOf(room: FreeRoom, { needs, strangers }: TypicalPods): number {
  let sum = strangers * room.gpuMilli;
  for (const { need, weight } of needs) sum += weight * tooFull(room, need);
  return sum;
}

function tooFull(room: FreeRoom, need: PodNeed): number {
  if (need.gpus === 0 || !fitsIn(room, need)) return room.gpuMilli;
  let sum = 0;
  for (const free of room.gpusMilli) if (free < need.gpuMilli) sum += free;
  return sum;
}

/**
 * How much of the measure looks at the room filled up. At 0 a node runs out of CPU before its devices are taken; at 1 the measure is blind to the
 * next pod.
 */
const FILLED_UP = 0.3;

/**
 * Thousandths of devices that are stranded: the published fragment mixed with what would be left if the room were filled with the typical
 * pod, where CPU and memory run out as well as devices.
 */
export function strandedIn(room: FreeRoom, { needs, strangers }: TypicalPods): number {
  if (room.gpuMilli === 0) return 0;
  let sum = strangers * room.gpuMilli;
  let devices = NO_DEVICES;
  for (const { need, weight } of needs) {
    if (need.gpus === 0) continue;
    if (devices.gpuMilli !== need.gpuMilli) devices = devicesFor(room, need.gpuMilli);
    sum += weight * strandedBy(room, need, devices);
  }
  return sum;
}

/** What the devices of a room are to pods that take this much of one. Typical pods that take as much stand together, so it is worked out once for them. */
interface Devices {
  readonly gpuMilli: number;
  /** Free thousandths on devices that are too full. */
  readonly tooFull: number;
  readonly usable: number;
  /** Pods of one device that all of them take together. */
  readonly slots: number;
}

const NO_DEVICES: Devices = { gpuMilli: 0, tooFull: 0, usable: 0, slots: 0 };

function devicesFor({ gpusMilli }: FreeRoom, gpuMilli: number): Devices {
  let [tooFull, usable, slots] = [0, 0, 0];
  for (const free of gpusMilli) {
    if (free < gpuMilli) tooFull += free;
    else {
      usable += 1;
      slots += Math.floor(free / gpuMilli);
    }
  }
  return { gpuMilli, tooFull, usable, slots };
}

function strandedBy(room: FreeRoom, need: PodNeed, { tooFull, usable, slots }: Devices): number {
  if (need.cpuMilli > room.cpuMilli || need.memoryMib > room.memoryMib || usable < need.gpus) return room.gpuMilli;
  const byDevices = need.gpus > 1 ? Math.floor(usable / need.gpus) : slots;
  const pods = Math.min(byDevices, timesIn(room.cpuMilli, need.cpuMilli), timesIn(room.memoryMib, need.memoryMib));
  return (1 - FILLED_UP) * tooFull + FILLED_UP * (room.gpuMilli - pods * need.gpus * need.gpuMilli);
}

const timesIn = (free: number, need: number): number => (need === 0 ? Infinity : free / need);
