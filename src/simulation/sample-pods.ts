import type { Random } from '../kernel/random.ts';
import type { PackPod } from '../scheduler/pack-cluster.ts';
import { gpuDemandOf } from '../scheduler/pack-room.ts';

/**
 * The pods of a workload in random order, as many as ask for `gpuMilli` thousandths of devices in all, as in the published experiment: what is
 * too much is left out at random, what is missing is drawn again with replacement. The copies have names of their own.
 */
export function samplePods(pods: readonly PackPod[], gpuMilli: number, random: Random): PackPod[] {
  const sample = shuffled(pods, random);
  let demand = sample.reduce((sum, pod) => sum + gpuDemandOf(pod), 0);
  while (demand > gpuMilli) demand -= gpuDemandOf(sample.pop() ?? NOTHING);
  for (let copy = 1; pods.some(({ gpus }) => gpus > 0); copy += 1) {
    const drawn = pods[below(pods.length, random)] ?? NOTHING;
    demand += gpuDemandOf(drawn);
    if (demand > gpuMilli) break;
    sample.push({ ...drawn, name: `${drawn.name}-again-${copy}` });
  }
  return shuffled(sample, random);
}

const NOTHING: PackPod = { name: '', cpuMilli: 0, memoryMib: 0, gpus: 0, gpuMilli: 0, models: [] };

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: Random): T[] {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = below(last + 1, random);
    const [a, b] = [order[last], order[other]];
    if (a !== undefined && b !== undefined) [order[last], order[other]] = [b, a];
  }
  return order;
}

const below = (limit: number, random: Random): number => Math.floor(random.fraction() * limit);
