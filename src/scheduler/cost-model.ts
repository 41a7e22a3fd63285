import { regionOf } from '../clouds/offering-key.ts';
import type { Offering } from '../clouds/offering.ts';
import { HOUR_MS } from '../kernel/instant.ts';
import type { PicoUsd, PicoUsdPerHour } from '../kernel/money.ts';
import { replicasOfDemand, type Demand } from './demand.ts';
import { egressPerGib } from './egress-prices.ts';
import { learnedFactor, type LivedThrough } from './learned-risk.ts';

/** What something costs per hour, in pico-USD. */
export interface CostParts {
  /** Of the machines. */
  readonly price: PicoUsdPerHour;
  /** Answers to callers elsewhere, and the artifact that each machine fetches, spread over a month. */
  readonly egress: PicoUsdPerHour;
  /** Interruptions to be expected × time until a replica serves again × what an hour without it is worth. */
  readonly interruptions: PicoUsdPerHour;
  /** What moving there costs once, spread over the time that it must pay off in. */
  readonly move: PicoUsdPerHour;
}

export const totalOf = ({ price, egress, interruptions, move }: CostParts): PicoUsdPerHour =>
  price + egress + interruptions + move;

/** Where it is now: staying costs no move. */
export interface PresentPlace {
  readonly offeringIds: readonly string[];
  /** What it pays per hour: both sides run until the new one serves. */
  readonly hourly: PicoUsdPerHour;
}

const GIB = 2n ** 30n;
const MIB_PER_GIB = 1024n;
/** An artifact is fetched so often: once a month and machine. Higher: egress of artifacts decides nothing; lower: it decides all. */
const PULL_HOURS = 730n;
/** A move must pay off in so many hours. Higher: places change for little; lower: only a large saving moves anything. */
const MOVE_HOURS = 24n;
const PPB = 1_000_000_000n;

/** Share of instances interrupted in a month, in percent: the upper end of the published band; where none is published, the worst but one. */
const BANDS: Readonly<Record<string, bigint>> = { '<5%': 5n, '5-10%': 10n, '10-15%': 15n, '15-20%': 20n, '>20%': 30n };
const UNPUBLISHED = 20n;

/** Interruptions of one instance per hour, in parts per thousand million. */
export function interruptionsPpb(
  { capacityType, interruptionBand }: Pick<Offering, 'capacityType' | 'interruptionBand'>,
  lived?: LivedThrough,
): bigint {
  if (capacityType !== 'spot') return 0n;
  const percent = (interruptionBand === null ? undefined : BANDS[interruptionBand]) ?? UNPUBLISHED;
  const published = (percent * PPB) / 100n / PULL_HOURS;
  if (!lived) return published;
  return (published * BigInt(Math.round(learnedFactor(lived, Number(percent)) * MILLI))) / BigInt(MILLI);
}

const MILLI = 1_000;

const NOTHING_LEARNED: ReadonlyMap<string, LivedThrough> = new Map();

/** What a demand costs wherever it is put: sums of whole pico-dollars, so that the parts always make the total. */
export class CostModel {
  readonly #demand: Demand;
  readonly #present: PresentPlace | null;
  readonly #learned: ReadonlyMap<string, LivedThrough>;
  readonly #answersFrom = new Map<string, PicoUsdPerHour>();

  constructor(demand: Demand, present: PresentPlace | null, learned: ReadonlyMap<string, LivedThrough> = NOTHING_LEARNED) {
    this.#demand = demand;
    this.#present = present;
    this.#learned = learned;
  }

  /** True if being elsewhere than now costs something. */
  get moves(): boolean {
    return this.#present !== null;
  }

  /** True if offerings differ in more than what is published of them. */
  get hasLearned(): boolean {
    return this.#learned.size > 0;
  }

  /** Per replica; of a kind of capacity, or of one offering by what was lived through with it. */
  interruptions(offering: Pick<Offering, 'capacityType' | 'interruptionBand'> & { readonly id?: string }): PicoUsdPerHour {
    const { coldStartMs = 0, penaltyPerHour = 0n } = this.#demand;
    const lived = offering.id === undefined ? undefined : this.#learned.get(offering.id);
    return (interruptionsPpb(offering, lived) * BigInt(coldStartMs) * penaltyPerHour) / PPB / BigInt(HOUR_MS);
  }

  /** Of answers, for so many of the replicas. */
  traffic(region: string, replicas: number): PicoUsdPerHour {
    return (this.#answers(region) * BigInt(replicas)) / BigInt(Math.max(1, replicasOfDemand(this.#demand)));
  }

  /** Of all answers; asked for the same few regions again and again. */
  #answers(region: string): PicoUsdPerHour {
    const known = this.#answersFrom.get(region);
    if (known !== undefined) return known;
    const { callers = [] } = this.#demand;
    const costs = callers.map((caller) => (egressPerGib(region, caller.region) * BigInt(caller.mibPerHour)) / MIB_PER_GIB);
    const all = costs.reduce((sum, cost) => sum + cost, 0n);
    this.#answersFrom.set(region, all);
    return all;
  }

  /** Of the artifact, per machine. */
  pull(region: string): PicoUsdPerHour {
    return this.#pullOnce(region) / PULL_HOURS;
  }

  /** Of moving there, whatever is rented. */
  moveOf(offeringId: string): PicoUsdPerHour {
    if (!this.#present || this.#present.offeringIds.includes(offeringId)) return 0n;
    const { coldStartMs = 0 } = this.#demand;
    return (this.#present.hourly * BigInt(coldStartMs)) / BigInt(HOUR_MS) / MOVE_HOURS;
  }

  /** The parts for so many replicas on so many machines; `price` is that of one machine. */
  parts(
    offering: Offering,
    price: PicoUsdPerHour,
    { replicas, machines }: { readonly replicas: number; readonly machines: number },
  ): CostParts {
    const region = regionOf(offering);
    return {
      price: price * BigInt(machines),
      egress: this.pull(region) * BigInt(machines) + this.traffic(region, replicas),
      interruptions: this.interruptions(offering) * BigInt(replicas),
      move: this.moveOf(offering.id),
    };
  }

  #pullOnce(region: string): PicoUsd {
    const { artifact } = this.#demand;
    if (!artifact?.region) return 0n;
    return (egressPerGib(artifact.region, region) * BigInt(artifact.bytes)) / GIB;
  }
}
