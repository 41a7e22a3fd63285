import type { CloudNode, CloudResult } from './cloud-provider.port.ts';

/** A machine as its provider lists it. */
export interface ListedMachine extends Omit<CloudNode, 'since'> {
  /** Null = the provider does not say. */
  readonly since: CloudNode['since'] | null;
  /** It never came to be, or will never run again: nobody may count on it, and it is to be cleared away. */
  readonly isBroken: boolean;
}

export interface ScaleInput {
  readonly machines: readonly ListedMachine[];
  /** Machines that were wished for and are not listed yet. */
  readonly coming: number;
  readonly wish: { readonly desired: number; readonly release: readonly string[] };
}

export type ScalePlan =
  | { readonly kind: 'refuse'; readonly left: number }
  /** `grow`: how many more; those of `release` go first. */
  | { readonly kind: 'act'; readonly release: readonly string[]; readonly grow: number };

/** True for a machine that counts against a wish. */
export const isWanted = ({ phase, isBroken }: ListedMachine): boolean =>
  (phase === 'starting' || phase === 'running') && !isBroken;

/** What makes a wish true: whom to give back, and how many more to ask for; a wish for fewer without names is refused. */
export function planScale({ machines, coming, wish }: ScaleInput): ScalePlan {
  const wanted = machines.filter(isWanted);
  const release = wanted.filter(({ instanceId }) => wish.release.includes(instanceId));
  const left = wanted.length + coming - release.length;
  if (wish.desired < left) return { kind: 'refuse', left };
  const broken = machines.filter(({ isBroken, phase }) => isBroken && phase !== 'stopping' && phase !== 'gone');
  return { kind: 'act', release: [...release, ...broken].map(({ instanceId }) => instanceId), grow: wish.desired - left };
}

export const nameMachines = (left: number, desired: number): CloudResult => ({
  ...{ outcome: 'refused', reason: 'NAME_MACHINES', retryAfterMs: null },
  message: `${left} machines would be left, and ${desired} are wished for`,
});
