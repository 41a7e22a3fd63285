import type { Accelerator, Resources } from '../kernel/resources.ts';
import type { ReplicaRate } from '../registry/model-version.ts';
import { ANY_GPU } from './demand.ts';
import { sentenceOf } from './explain-placement.ts';
import type { Placement } from './plan-placement.ts';
import { compare } from './score-offerings.ts';

/** As many replicas as carry a throughput on one kind of accelerator. */
export interface RatedReplicas {
  readonly rate: ReplicaRate;
  readonly replicas: number;
  /** Of one replica, with that accelerator instead of any. */
  readonly resources: Resources;
}

/**
 * One for each accelerator that the replicas may run on and of which is known what one carries there; empty = of none. What needs no accelerator runs
 * as fast on any machine. What nobody said is not guessed.
 */
export const ratedReplicas = (
  resources: Resources,
  milliRequestsPerSecond: number,
  rates: readonly ReplicaRate[],
): readonly RatedReplicas[] =>
  rates
    .filter((rate) => isMeant(resources.accelerator, rate))
    .map((rate) => ({
      rate,
      replicas: Math.ceil(milliRequestsPerSecond / rate.milliRequestsPerSecond),
      resources: { ...resources, accelerator: deviceOf(resources.accelerator, rate) },
    }));

function isMeant(wanted: Accelerator | null, { accelerator }: ReplicaRate): boolean {
  if (!wanted || wanted.countMilli === 0) return accelerator === null;
  return wanted.model === ANY_GPU ? accelerator !== null : accelerator === wanted.model;
}

const deviceOf = (wanted: Accelerator | null, { accelerator }: ReplicaRate): Accelerator | null =>
  wanted && accelerator !== null ? { ...wanted, model: accelerator } : wanted;

export interface RatedPlacement extends RatedReplicas {
  readonly placement: Placement;
  /** Pico-USD per hour of all replicas, all parts together. */
  readonly hourly: bigint;
}

/**
 * The one that costs least in all, with the best of the others in its table; equals go by the name of the accelerator. Where none can be had the first
 * of them, which says why. Null = there is none.
 */
export function cheapestOf<T extends RatedPlacement>(rated: readonly T[]): T | null {
  const [won, ...lost] = [...rated].sort(
    (a, b) =>
      Number(isRefused(a)) - Number(isRefused(b)) ||
      compare(a.hourly, b.hourly) ||
      compare(a.rate.accelerator ?? '', b.rate.accelerator ?? ''),
  );
  return won ? { ...won, placement: withOthers(won.placement, lost) } : null;
}

const isRefused = ({ placement: { places, contradiction } }: RatedPlacement): boolean =>
  places.length === 0 || contradiction !== null;

/** Of each that lost the best few. Higher: the table is long; lower: nobody sees what the choice was compared with. */
const SHOWN_OF_OTHERS = 3;

function withOthers(placement: Placement, lost: readonly RatedPlacement[]): Placement {
  const { best, chosen } = placement;
  const others = lost.flatMap((one) => one.placement.best.slice(0, SHOWN_OF_OTHERS));
  const nearest = lost.flatMap((one) => one.placement.best.slice(0, 1));
  return {
    ...placement,
    best: [...best, ...others].sort((a, b) => compare(a.score, b.score)),
    wouldChange: [...placement.wouldChange, ...(chosen ? nearest.map((one) => sentenceOf(one, chosen)) : [])],
  };
}

/** Why so many replicas, in one sentence. */
export function throughputInWords(milliRequestsPerSecond: number, { rate, replicas }: RatedReplicas, version: number): string {
  const where = rate.accelerator === null ? '' : ` on ${rate.accelerator}`;
  const [all, each] = [milliRequestsPerSecond, rate.milliRequestsPerSecond].map(perSecond);
  const count = `${replicas} ${replicas === 1 ? 'replica' : 'replicas'}${where}`;
  return `${all} requests per second take ${count}: one carries ${each}, as version ${version} says.`;
}

/** Thousandths, without zeros at the end. */
export const perSecond = (milli: number): string => (milli / 1_000).toLocaleString('en', { maximumFractionDigits: 3 });
