// How much moves could reach at best where everybody who fits on arrival is seated: the pods of one device that came before the first of them was
// refused sit somewhere, whoever else arrived sits or does not, and all may have been moved any number of times. A linear program over the ways to
// share a device; CPU, memory, models and nodes are left out, so that no packing can do better.
import type { FleetSolver, IntegerProgram, ProgramRow } from '../../src/scheduler/fleet-solver.port.ts';
import type { PackPod } from '../../src/scheduler/pack-cluster.ts';
import { gpuDemandOf, isShare, WHOLE_GPU } from '../../src/scheduler/pack-room.ts';

export interface Arrivals {
  readonly arrived: readonly PackPod[];
  /** So many of the first came before a pod of one device was refused. */
  readonly early: number;
  readonly devices: number;
}

/** Thousandths of devices. */
export function boundOfMoves(arrivals: Arrivals, solver: FleetSolver): number {
  const relaxed = solver.relax(programOf(arrivals));
  if (!relaxed) throw new Error('the bound was not found');
  return -relaxed.objective;
}

/** A column for each way to share a device, the last one for devices that are taken whole; a row for the devices, then one for each share. */
function programOf({ arrived, early, devices }: Arrivals): IntegerProgram {
  const first = arrived.slice(0, early);
  const shares = [...new Set(arrived.filter(isShare).map(({ gpuMilli }) => gpuMilli))].sort((a, b) => b - a);
  const ways = waysToShare(shares, WHOLE_GPU);
  const single = first.filter(({ gpus, gpuMilli }) => gpus === 1 && gpuMilli === WHOLE_GPU).length;
  const whole = arrived.filter((pod) => !isShare(pod)).reduce((sum, pod) => sum + gpuDemandOf(pod) / WHOLE_GPU, 0);
  return {
    costs: [...ways.map((way) => -way.reduce((sum, times, at) => sum + times * (shares[at] ?? 0), 0)), -WHOLE_GPU],
    upper: [...ways.map(() => devices), whole],
    rows: [
      rowOf([...ways.map(() => 1), 1], 0, devices),
      rowOf([...ways.map(() => 0), 1], single, whole),
      ...shares.map((share, at) =>
        rowOf([...ways.map((way) => way[at] ?? 0), 0], countOf(first, share), countOf(arrived, share)),
      ),
    ],
  };
}

function rowOf(weights: readonly number[], lower: number, upper: number): ProgramRow {
  const columns = weights.flatMap((weight, column) => (weight > 0 ? [column] : []));
  return { lower, upper, columns, values: columns.map((column) => weights[column] ?? 0) };
}

const countOf = (pods: readonly PackPod[], share: number): number =>
  pods.filter((pod) => isShare(pod) && pod.gpuMilli === share).length;

/** How often each share is on a device, for all the ways that fit. */
function waysToShare([share, ...smaller]: readonly number[], room: number): number[][] {
  if (share === undefined) return [[]];
  return Array.from({ length: Math.floor(room / share) + 1 }, (_, times) =>
    waysToShare(smaller, room - times * share).map((way) => [times, ...way]),
  ).flat();
}
