import type { CloudPool } from '../cloud-provider.port.ts';
import type { MachineShape } from './machine-shapes.ts';

/** On nodes: what they are sold as, where their own label says less. */
const SOLD_AS_LABEL = 'purser.dev/instance-type';

/** Accelerators that are attached to a machine, and are no part of its type. */
export type AttachedGpus = NonNullable<MachineShape['accelerator']>;

/** By accelerator and number: CPUs that a machine of N1 may have with them, at most (Compute Engine, "GPU machine types", N1). */
const MOST_CPUS: Readonly<Record<string, readonly (readonly [count: number, cpus: number])[]>> = {
  'nvidia-tesla-t4': [
    [1, 48],
    [2, 48],
    [4, 96],
  ],
  'nvidia-tesla-p4': [
    [1, 24],
    [2, 48],
    [4, 96],
  ],
  'nvidia-tesla-v100': [
    [1, 12],
    [2, 24],
    [4, 48],
    [8, 96],
  ],
  'nvidia-tesla-p100': [
    [1, 16],
    [2, 32],
    [4, 96],
  ],
};

const ATTACHED = /^(n1-[a-z0-9-]+)_(nvidia-[a-z0-9-]+)x(\d{1,2})$/;

/** Google has no name for both: `n1-standard-8_nvidia-tesla-t4x2`, which labels allow, too. */
export const nameWith = (machineType: string, gpus: AttachedGpus | null): string =>
  gpus && machineType.startsWith('n1-') ? `${machineType}_${gpus.type}x${gpus.count}` : machineType;

/** What Google is asked for. */
export function machineIn(instanceType: string): { readonly machineType: string; readonly gpus: AttachedGpus | null } {
  const [, machineType, type, count] = ATTACHED.exec(instanceType) ?? [];
  if (machineType === undefined || type === undefined) return { machineType: instanceType, gpus: null };
  return { machineType, gpus: { type, count: Number(count) } };
}

/** The shape with each of the accelerators that its zone offers and that fit it. */
export function withGpus(shape: MachineShape, offered: readonly string[]): MachineShape[] {
  if (!shape.name.startsWith('n1-') || shape.isSharedCpu || shape.accelerator) return [];
  return offered.flatMap((type) =>
    (MOST_CPUS[type] ?? [])
      .filter(([, cpus]) => shape.guestCpus <= cpus)
      .map(([count]) => ({ ...shape, name: nameWith(shape.name, { type, count }), accelerator: { type, count } })),
  );
}

/** Of a pool's nodes: the type that nodes say by themselves is without what is attached. */
export function nodeLabels({ labels, instanceType }: Pick<CloudPool, 'labels' | 'instanceType'>): CloudPool['labels'] {
  return instanceType !== null && machineIn(instanceType).gpus ? { ...labels, [SOLD_AS_LABEL]: instanceType } : labels;
}
