/** What a pod asks of a node; pods that ask for the same are one kind. */
export interface PodNeed {
  readonly cpuMilli: number;
  readonly memoryMib: number;
  /** Devices: 0, one or several. */
  readonly gpus: number;
  /** Thousandths of each device: below 1000 only a share of one. 0 without devices. */
  readonly gpuMilli: number;
  /** Device models that it accepts; empty = any. */
  readonly models: readonly string[];
}

/** What is free on a node. Nodes with the same room are interchangeable. */
export interface FreeRoom {
  /** The node's device model. */
  readonly model: string;
  readonly cpuMilli: number;
  readonly memoryMib: number;
  /** Free thousandths of each device, the freest first. */
  readonly gpusMilli: readonly number[];
  /** Their sum. */
  readonly gpuMilli: number;
}

export const WHOLE_GPU = 1000;

/** Thousandths of devices that the pod occupies. */
export const gpuDemandOf = (need: PodNeed): number => need.gpus * need.gpuMilli;

export const isShare = (need: PodNeed): boolean => need.gpus === 1 && need.gpuMilli < WHOLE_GPU;

export function fitsIn(room: FreeRoom, need: PodNeed): boolean {
  if (need.cpuMilli > room.cpuMilli || need.memoryMib > room.memoryMib) return false;
  if (need.gpus === 0) return true;
  return acceptsModel(need, room.model) && (room.gpusMilli[need.gpus - 1] ?? 0) >= need.gpuMilli;
}

export const acceptsModel = (need: PodNeed, model: string): boolean => need.models.length === 0 || need.models.includes(model);

/** The room that is left when a pod that fits takes the devices at `places` of the list. */
export function roomAfter(room: FreeRoom, need: PodNeed, places: readonly number[]): FreeRoom {
  const gpusMilli = [...room.gpusMilli];
  for (const place of places) gpusMilli[place] = (gpusMilli[place] ?? 0) - need.gpuMilli;
  if (places.length > 0) gpusMilli.sort((a, b) => b - a);
  return {
    model: room.model,
    cpuMilli: room.cpuMilli - need.cpuMilli,
    memoryMib: room.memoryMib - need.memoryMib,
    gpusMilli,
    gpuMilli: room.gpuMilli - gpuDemandOf(need),
  };
}

/** Devices that a pod that fits may take, as places in the list: a share has a choice among devices that are not equally free. */
export function placesFor(room: FreeRoom, need: PodNeed): number[][] {
  if (!isShare(need)) return [Array.from({ length: need.gpus }, (_, place) => place)];
  const { gpusMilli } = room;
  const places: number[][] = [];
  for (const [place, free] of gpusMilli.entries())
    if (free >= need.gpuMilli && free !== gpusMilli[place + 1]) places.push([place]);
  return places;
}

/** The same for equal rooms only; where it decides ties it must not depend on the order of anything. */
export const roomKeyOf = (room: FreeRoom): string =>
  `${room.model}/${room.cpuMilli}/${room.memoryMib}/${room.gpusMilli.join(',')}`;

export const needKeyOf = (need: PodNeed): string =>
  `${need.cpuMilli}/${need.memoryMib}/${need.gpus}/${need.gpuMilli}/${need.models.join('|')}`;
