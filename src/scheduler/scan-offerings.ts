import type { Instant } from '../kernel/instant.ts';
import { invariant } from '../kernel/invariant.ts';
import { BestRows } from './best-rows.ts';
import type { CostModel } from './cost-model.ts';
import { replicasPerAccelerators } from './demand.ts';
import {
  NO_OVERHEAD,
  REJECTION_CODES,
  rejectAccelerator,
  rejectKind,
  rejectRegion,
  rejectStock,
  type Question,
  type RejectionCode,
  type Verdict,
} from './filter-offerings.ts';
import { STALE, type OfferingClass, type OfferingIndex } from './offering-index.ts';
import { rentableIn } from './place-facts.ts';

export interface Scan {
  /** Rows that fit: of each provider the best, by total cost and then by key. */
  readonly best: ReadonlyMap<string, readonly number[]>;
  /** Of each place (region and zone) the best row; absent where nothing fits. */
  readonly bestOfPlace: ReadonlyMap<number, number>;
  /** Rows that would fit if a cluster could rent there, likewise. */
  readonly elsewhere: ReadonlyMap<string, readonly number[]>;
  /** By row: what stands against it. */
  readonly codes: Uint8Array;
  readonly counts: Readonly<Partial<Record<RejectionCode, number>>>;
}

export interface ScanOptions {
  /** How many replicas go to one place. */
  readonly replicas: number;
  readonly model: CostModel;
  readonly now: Instant;
  /** How many of the best of each provider are kept. */
  readonly shown: number;
}

/** 0 = nothing stands against it; else the place of its code in the list, from 1. */
type Code = number;

const codeOf = (verdict: Verdict): Code => (verdict === null ? 0 : REJECTION_CODES.indexOf(verdict[0]) + 1);
const CODE = Object.fromEntries(REJECTION_CODES.map((code, at) => [code, at + 1])) as Record<RejectionCode, Code>;

/**
 * Looks at every row: the same answers as `filterOfferings` and exact costs, by numbers. Whole pico-dollars up to 9,007 USD per hour are exact
 * as numbers; beyond that rows may tie, and the plan compares the best exactly.
 */
export function scanOfferings(index: OfferingIndex, question: Question, options: ScanOptions): Scan {
  const tables = makeTables(index, question, options);
  const found = makeFindings(index, options.shown);
  for (const one of index.classes) scanClass(index, tables, { one, found });
  return toScan(index, found);
}

/** What every row of a class shares, looked up once. */
interface Fixed {
  readonly device: Code;
  readonly perDevice: number;
  readonly rentable: number;
  readonly pull: number;
  readonly traffic: number;
  /** Of all replicas. */
  readonly risk: number;
}

/** Where a whole class may not be, nothing else of it is looked at. */
function scanClass(
  index: OfferingIndex,
  tables: Tables,
  { one, found }: { readonly one: OfferingClass; readonly found: Findings },
): void {
  const { start, end } = one;
  const code = int(tables.region, one.region) || int(tables.kind, one.kind);
  if (code !== 0) {
    found.codes.fill(code, start, end);
    found.counts[code] = num(found.counts, code) + end - start;
    return;
  }
  const fixed = fixedOf(tables, one);
  const best = rowsAt(found.best, one);
  const elsewhere = rowsAt(found.elsewhere, one);
  for (let row = start; row < end; row += 1) {
    const verdict = judge(index, tables, fixed, row);
    if (verdict !== 0) {
      found.codes[row] = verdict;
      found.counts[verdict] = num(found.counts, verdict) + 1;
      if (verdict !== CODE.NOT_RENTABLE_HERE) continue;
    }
    const rows = verdict === 0 ? best : elsewhere;
    if (isHopeless(num(index.price, row), rows, num(found.placeValue, one.place))) continue;
    const total = totalOfRow(index, tables, fixed, row);
    rows.offer(row, total);
    if (verdict === 0) keepInPlace(index, found, { place: one.place, row, total });
  }
}

/** A machine alone costs more than all that is remembered. */
const isHopeless = (price: number, { worst }: BestRows, bestOfPlace: number): boolean => price > worst && price > bestOfPlace;

/** The rules of `filterOfferings` that differ from row to row, in their order. */
const judge = (index: OfferingIndex, tables: Tables, fixed: Fixed, row: number): Code =>
  judgeSize(index, tables, row) || fixed.device || judgePrice(index, tables, row) || judgeStock(index, tables, fixed, row);

function rowsAt({ ofRegion }: ByProvider, { region }: OfferingClass): BestRows {
  const rows = ofRegion[region];
  invariant(rows, `region ${region} of the offerings`);
  return rows;
}

const fixedOf = (tables: Tables, one: OfferingClass): Fixed => ({
  device: int(tables.device, one.device),
  perDevice: num(tables.perDevice, one.device),
  rentable: num(tables.rentable, one.place),
  pull: num(tables.pull, one.region),
  traffic: num(tables.traffic, one.region),
  risk: tables.replicas * num(tables.risk, one.risk),
});

interface Tables {
  readonly region: Int32Array;
  readonly kind: Int32Array;
  readonly device: Int32Array;
  readonly perDevice: Float64Array;
  readonly rentable: Float64Array;
  readonly hasRefusal: boolean;
  readonly cpuMilli: number;
  readonly memoryMib: number;
  readonly ownCpu: number;
  readonly ownMemory: number;
  readonly neededCpu: number;
  readonly neededMemory: number;
  readonly cap: number;
  readonly now: Instant;
  readonly replicas: number;
  readonly pull: Float64Array;
  readonly traffic: Float64Array;
  readonly risk: Float64Array;
  /** What one offering costs beside the others of its class: the move to it, and its risk as it was lived through. Null = nothing. */
  readonly ownOf: ((row: number) => number) | null;
  readonly question: Question;
}

const codes = <T>(values: readonly T[], verdict: (value: T) => Verdict): Int32Array =>
  Int32Array.from(values, (value) => codeOf(verdict(value)));

const amounts = <T>(values: readonly T[], amount: (value: T) => bigint): Float64Array =>
  Float64Array.from(values, (value) => Number(amount(value)));

/** Everything that is the same for many rows, judged once. */
function makeTables(index: OfferingIndex, question: Question, { replicas, model, now }: ScanOptions): Tables {
  const { demand, policy, facts } = question;
  const { cpuMilli, memoryMib, accelerator } = demand.resources;
  const own = facts.overhead ?? NO_OVERHEAD;
  return {
    region: codes(index.regions, ({ provider, region }) => rejectRegion(question, provider, region)),
    kind: codes(index.kinds, (kind) => rejectKind(question, kind)),
    device: codes(index.devices, (device) => rejectAccelerator(question, device)),
    perDevice: Float64Array.from(index.devices, (device) => replicasPerAccelerators(accelerator, device)),
    rentable: Float64Array.from(index.places, ({ region, zone }) => rentableIn(facts, region, zone) ?? Infinity),
    hasRefusal: (facts.refusals ?? []).length > 0,
    ...{ cpuMilli: Math.max(1, cpuMilli), memoryMib: Math.max(1, memoryMib), ownCpu: own.cpuMilli, ownMemory: own.memoryMib },
    ...{ neededCpu: cpuMilli + own.cpuMilli, neededMemory: memoryMib + own.memoryMib },
    ...{ cap: Number(policy.maxPricePerHour ?? Infinity), now, replicas, question },
    pull: amounts(index.regions, ({ region }) => model.pull(region)),
    traffic: amounts(index.regions, ({ region }) => model.traffic(region, replicas)),
    risk: amounts(index.risks, (risk) => model.interruptions(risk)),
    ownOf: model.moves || model.hasLearned ? (row) => ownOfRow(index, model, { row, replicas }) : null,
  };
}

function ownOfRow(
  { candidates }: OfferingIndex,
  model: CostModel,
  { row, replicas }: { readonly row: number; readonly replicas: number },
): number {
  const offering = candidates[row]?.offering;
  if (!offering) return 0;
  const { capacityType, interruptionBand } = offering;
  const more = model.interruptions(offering) - model.interruptions({ capacityType, interruptionBand });
  return Number(model.moveOf(offering.id)) + replicas * Number(more);
}

interface Findings {
  readonly best: ByProvider;
  readonly elsewhere: ByProvider;
  readonly placeRow: Int32Array;
  readonly placeValue: Float64Array;
  readonly codes: Uint8Array;
  /** By code. */
  readonly counts: Float64Array;
}

interface ByProvider {
  readonly rows: ReadonlyMap<string, BestRows>;
  /** By region, those of its provider. */
  readonly ofRegion: readonly (BestRows | undefined)[];
}

function byProvider({ regions, keyOf }: OfferingIndex, shown: number): ByProvider {
  const rows = new Map(regions.map(({ provider }) => [provider, new BestRows(shown, keyOf)]));
  return { rows, ofRegion: regions.map(({ provider }) => rows.get(provider)) };
}

function makeFindings(index: OfferingIndex, shown: number): Findings {
  const { places } = index;
  return {
    best: byProvider(index, shown),
    elsewhere: byProvider(index, shown),
    placeRow: new Int32Array(places.length).fill(-1),
    placeValue: new Float64Array(places.length).fill(Infinity),
    codes: new Uint8Array(index.size),
    counts: new Float64Array(REJECTION_CODES.length + 1),
  };
}

/** Reads beyond a column do not happen; the types cannot know. */
const int = (column: Int32Array | Uint8Array, at: number): number => column[at] ?? 0;
const num = (column: Float64Array, at: number): number => column[at] ?? 0;

function judgeSize({ cpuMilli, memoryMib }: OfferingIndex, { neededCpu, neededMemory }: Tables, row: number): Code {
  if (num(cpuMilli, row) < neededCpu) return CODE.CPU_TOO_SMALL;
  const memory = num(memoryMib, row);
  if (memory < 0) return CODE.MEMORY_UNKNOWN;
  return memory < neededMemory ? CODE.MEMORY_TOO_SMALL : 0;
}

function judgePrice({ price, from }: OfferingIndex, { now, cap }: Tables, row: number): Code {
  const amount = num(price, row);
  if (Number.isNaN(amount) || num(from, row) > now) return CODE.UNPRICED;
  if (amount === STALE) return CODE.PRICE_STALE;
  return amount > cap ? CODE.ABOVE_SPEND_CAP : 0;
}

function judgeStock(index: OfferingIndex, tables: Tables, fixed: Fixed, row: number): Code {
  const candidate = tables.hasRefusal ? index.candidates[row] : undefined;
  if (candidate) return codeOf(rejectStock(tables.question, candidate));
  if (fixed.rentable === Infinity) return 0;
  if (fixed.rentable === 0) return CODE.NOT_RENTABLE_HERE;
  return machinesOf(index, tables, fixed, row) > fixed.rentable ? CODE.NO_QUOTA : 0;
}

function machinesOf({ cpuMilli, memoryMib }: OfferingIndex, tables: Tables, { perDevice }: Fixed, row: number): number {
  const cpus = Math.floor((num(cpuMilli, row) - tables.ownCpu) / tables.cpuMilli);
  const memory = Math.floor((num(memoryMib, row) - tables.ownMemory) / tables.memoryMib);
  return Math.ceil(tables.replicas / Math.min(cpus, memory, perDevice));
}

const totalOfRow = (index: OfferingIndex, tables: Tables, fixed: Fixed, row: number): number =>
  machinesOf(index, tables, fixed, row) * (num(index.price, row) + fixed.pull) +
  fixed.traffic +
  fixed.risk +
  (tables.ownOf === null ? 0 : tables.ownOf(row));

function keepInPlace(
  { keyOf }: OfferingIndex,
  { placeRow, placeValue }: Findings,
  { place, row, total }: { readonly place: number; readonly row: number; readonly total: number },
): void {
  const best = num(placeValue, place);
  if (total > best || (total === best && keyOf(row) > keyOf(int(placeRow, place)))) return;
  placeValue[place] = total;
  placeRow[place] = row;
}

const rowsOf = ({ rows }: ByProvider): ReadonlyMap<string, readonly number[]> =>
  new Map([...rows].map(([provider, best]) => [provider, best.rows]));

function toScan({ places }: OfferingIndex, { best, elsewhere, placeRow, codes: byRow, counts }: Findings): Scan {
  return {
    best: rowsOf(best),
    elsewhere: rowsOf(elsewhere),
    bestOfPlace: new Map(places.flatMap((_, place) => (int(placeRow, place) < 0 ? [] : [[place, int(placeRow, place)]]))),
    codes: byRow,
    counts: Object.fromEntries(REJECTION_CODES.flatMap((code, at) => (counts[at + 1] ? [[code, counts[at + 1]]] : []))),
  };
}

/** Neither unpriced nor stale. */
const pricedOr = (price: number, other: number): number => (price >= 0 ? price : other);

/** Codes up to this one are of whole classes: of their region and their kind. */
const LAST_OF_CLASS = CODE.ARCHITECTURE;

/** The cheapest of what these codes rejected, the unpriced last; ties by key. */
export function cheapestRejected(
  index: OfferingIndex,
  { codes: byRow }: Scan,
  wanted: readonly RejectionCode[],
  limit: number,
): readonly number[] {
  const best = new BestRows(limit, index.keyOf);
  const isWanted = new Uint8Array(REJECTION_CODES.length + 1);
  for (const code of wanted) isWanted[CODE[code]] = 1;
  for (const { start, end } of index.classes) {
    // What is wrong with a whole class is wrong with its first row, too.
    const code = int(byRow, start);
    if (code <= LAST_OF_CLASS && code !== 0 && isWanted[code] !== 1) continue;
    for (let row = start; row < end; row += 1)
      if (isWanted[int(byRow, row)] === 1) best.offer(row, pricedOr(num(index.price, row), Number.MAX_VALUE));
  }
  return best.rows;
}
