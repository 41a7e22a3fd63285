import type { PodKind } from './pack-cluster.ts';
import { acceptsModel, isShare, needKeyOf, type PodNeed } from './pack-room.ts';

/** A need with its weight among what arrives; weights sum to 1. */
export interface TypicalNeed {
  readonly need: PodNeed;
  readonly weight: number;
}

/** Typical pods as a node with one model of device sees them. */
export interface TypicalPods {
  /** Those that accept the model; needs that differ in nothing else are one. */
  readonly needs: readonly TypicalNeed[];
  /** The weight of the others. */
  readonly strangers: number;
}

/** Worked out once for each model. */
export function typicalByModel(typical: readonly TypicalNeed[]): (model: string) => TypicalPods {
  const known = new Map<string, TypicalPods>();
  return (model) => {
    const pods = known.get(model) ?? typicalOn(model, typical);
    known.set(model, pods);
    return pods;
  };
}

function typicalOn(model: string, typical: readonly TypicalNeed[]): TypicalPods {
  const accepting = typical.filter(({ need }) => need.gpus === 0 || acceptsModel(need, model));
  const alike = Map.groupBy(accepting, ({ need }) => needKeyOf({ ...need, models: [] }));
  const needs = [...alike.values()].flatMap((same) => same.slice(0, 1).map(({ need }) => ({ need, weight: weightOf(same) })));
  return { needs, strangers: weightOf(typical) - weightOf(accepting) };
}

const weightOf = (typical: readonly TypicalNeed[]): number => typical.reduce((sum, { weight }) => sum + weight, 0);

/** The rarest kinds that together make up less than this share are left out. Higher loses sight of what is rare but large, lower costs time. */
const RARE_SHARE = 0.05;

/**
 * The estimate is renewed when this many times as many pods have arrived. Lower forgets all scores more often, higher stays longer with a
 * first impression.
 */
const RENEWAL_GROWTH = 4;

/**
 * A pod of n devices weighs n to the minus this. At 0 the few large pods keep whole nodes free for themselves and strand what smaller ones
 * would use; at 1 nothing is kept for them.
 */
const LARGE_POD_DISCOUNT = 0.6;

/** What pods ask for, learned from those that have arrived. */
export class PodMix {
  readonly #seen: { readonly kind: PodKind; count: number }[] = [];
  #arrived = 0;
  #renewAt = 1;
  #typical = typicalByModel([]);
  #version = 0;

  observe(kind: PodKind): void {
    const entry = (this.#seen[kind.index] ??= { kind, count: 0 });
    entry.count += 1;
    this.#arrived += 1;
    if (this.#arrived < this.#renewAt) return;
    this.#renewAt = Math.ceil(this.#arrived * RENEWAL_GROWTH);
    this.#typical = typicalByModel(typicalOf(Object.values(this.#seen)));
    this.#version += 1;
  }

  /** Of those seen, how many ask for a share of one device, from `least` to `most` thousandths. */
  sharesSeen(least: number, most: number): number {
    return Object.values(this.#seen).reduce((sum, { kind: { need }, count }) => {
      return isShare(need) && need.gpuMilli >= least && need.gpuMilli <= most ? sum + count : sum;
    }, 0);
  }

  typical(model: string): TypicalPods {
    return this.#typical(model);
  }

  /** Changes when the estimate does. */
  get version(): number {
    return this.#version;
  }
}

/** The common ones of the kinds seen; those that take as much of a device stand together. */
export function typicalOf(
  seen: readonly { readonly kind: PodKind; readonly count: number }[],
  discount: number = LARGE_POD_DISCOUNT,
): TypicalNeed[] {
  const common = mostCommon(seen);
  const weights = common.map(({ kind, count }) => count * Math.max(1, kind.need.gpus) ** -discount);
  const sum = weights.reduce((all, weight) => all + weight, 0);
  return common
    .map(({ kind }, at) => ({ need: kind.need, weight: (weights[at] ?? 0) / sum }))
    .sort((a, b) => a.need.gpuMilli - b.need.gpuMilli);
}

function mostCommon<Seen extends { readonly kind: PodKind; readonly count: number }>(seen: readonly Seen[]): Seen[] {
  const total = seen.reduce((sum, { count }) => sum + count, 0);
  let covered = 0;
  return [...seen]
    .sort((a, b) => b.count - a.count || a.kind.index - b.kind.index)
    .filter(({ count }) => {
      const wanted = covered < total * (1 - RARE_SHARE);
      covered += count;
      return wanted;
    });
}
