import { regionOf } from '../clouds/offering-key.ts';
import type { Offering } from '../clouds/offering.ts';
import type { Id } from '../kernel/id.ts';
import type { Instant } from '../kernel/instant.ts';
import { totalOf, type CostModel, type CostParts } from './cost-model.ts';
import { replicasOfDemand } from './demand.ts';
import { machinesFor, rejectAccelerator, rejectKind, rejectRegion, type Question } from './filter-offerings.ts';
import type { OfferingIndex } from './offering-index.ts';
import { refusalOf, rentableIn, sourceFor, withTaken, type PlaceFacts } from './place-facts.ts';
import { scanOfferings, type Scan } from './scan-offerings.ts';
import { compare, scoreRow, type ScoredRow } from './score-offerings.ts';

/** Room on machines that are paid for anyway: using it costs no price. */
export interface FreeCapacity {
  /** Null = they are yet to be started, `perMachine` replicas on each: a reservation, or a machine of one's own that is off. */
  readonly poolId: Id | null;
  readonly offering: Offering;
  /** Empty = wherever the pool has them. */
  readonly zone: string;
  /** How many replicas of this demand there is room for. */
  readonly replicas: number;
  readonly perMachine?: number;
}

/** Replicas that go to one kind of machine in one place. */
export interface PlacedReplicas {
  readonly offering: Offering;
  /** Empty = any zone of the region. */
  readonly zone: string;
  readonly replicas: number;
  /** Machines to be started; 0 = there is room. */
  readonly machines: number;
  /** Who may rent them (`RentableRegion.source`); null where there is room, or nobody asked. */
  readonly source: string | null;
  /** The pool that has room; null = machines are rented. */
  readonly poolId: Id | null;
  readonly cost: CostParts;
}

interface Fill {
  readonly index: OfferingIndex;
  readonly question: Question;
  readonly model: CostModel;
  readonly free: readonly FreeCapacity[];
  /** The scan for all replicas and every kind of capacity. */
  readonly first: Scan;
}

/** Some of the replicas that go to one place. */
interface Part {
  readonly replicas: number;
  /** They may not be taken away. */
  readonly kept: boolean;
}

/** What is left while places are filled. */
interface State {
  readonly placed: PlacedReplicas[];
  readonly zones: Set<string>;
  free: readonly FreeCapacity[];
  facts: PlaceFacts;
}

/** Where each replica goes: into room that is paid for, then the cheapest that can be rented; null = not all of them fit. */
export function fillPlaces(fill: Fill, now: Instant): readonly PlacedReplicas[] | null {
  const state: State = { placed: [], zones: new Set(), free: fill.free, facts: fill.question.facts };
  for (const part of partsOf(fill.question)) if (!fillPart(fill, state, { part, now })) return null;
  return merged(state.placed);
}

/** The part that must be kept and the rest, each split over zones as evenly as it goes. */
function partsOf({ demand, policy }: Question): Part[] {
  const replicas = Math.max(1, replicasOfDemand(demand));
  const kept = Math.min(replicas, Math.ceil((replicas * (policy.minOnDemandPercent ?? 0)) / 100));
  const zones = Math.max(1, policy.zones ?? 1);
  const split = (count: number, isKept: boolean): Part[] => {
    const parts = Math.min(count, zones);
    return Array.from({ length: parts }, (_, n) => ({
      replicas: Math.floor(count / parts) + (n < count % parts ? 1 : 0),
      kept: isKept,
    }));
  };
  return [...split(kept, true), ...split(replicas - kept, false)];
}

interface Turn {
  readonly part: Part;
  readonly now: Instant;
}

function fillPart(fill: Fill, state: State, turn: Turn): boolean {
  let left = turn.part.replicas;
  for (let room = bestRoom(fill, state, turn, left); room && left > 0; room = bestRoom(fill, state, turn, left)) {
    const { capacity, placed } = room;
    const rented = bestRented(fill, state, turn, placed.replicas);
    if (rented && rented.score <= totalOf(placed.cost)) break;
    state.placed.push(placed);
    state.zones.add(zoneKey(placed));
    const used = Math.max(placed.replicas, placed.machines * (capacity.perMachine ?? 1));
    state.free = state.free.map((one) => (one === capacity ? { ...one, replicas: one.replicas - used } : one));
    state.facts = withTaken(state.facts, placed.source, placed.machines);
    left -= placed.replicas;
  }
  if (left === 0) return true;
  const rented = bestRented(fill, state, turn, left);
  if (!rented) return false;
  const { offering, machines, cost, zone } = rented;
  const source = sourceFor(state.facts, { offering, zone, machines })?.source ?? null;
  const placed = { offering, zone, machines, cost, replicas: left, source, poolId: null };
  state.placed.push(placed);
  state.zones.add(zoneKey(placed));
  state.facts = withTaken(state.facts, source, machines);
  return true;
}

const zoneKey = ({ offering, zone }: Pick<PlacedReplicas, 'offering' | 'zone'>): string => `${regionOf(offering)} ${zone}`;

const spreads = ({ policy }: Question): boolean => (policy.zones ?? 1) > 1;

/** A zone that has none yet is asked for until there are enough. */
const isZoneWanted = ({ question }: Fill, { zones }: State, key: string): boolean =>
  !spreads(question) || zones.size >= (question.policy.zones ?? 1) || !zones.has(key);

/** The question as it is for one part. */
function questionOf({ question }: Fill, { facts }: State, { part }: Turn, replicas: number): Question {
  const { capacityTypes } = question.demand;
  const types = part.kept ? capacityTypes.filter((type) => type !== 'spot') : capacityTypes;
  return { ...question, facts, demand: { ...question.demand, replicas, capacityTypes: types } };
}

function bestRoom(fill: Fill, state: State, turn: Turn, left: number) {
  const question = questionOf(fill, state, turn, left);
  const fitting = state.free
    .filter((one) => one.replicas > 0 && isAllowed(question, one) && isZoneWanted(fill, state, zoneKey(one)))
    // Where zones are to share them, machines that are started somewhere in a region do not say which one has them.
    .filter((one) => one.poolId !== null || one.zone !== '' || !spreads(question))
    .flatMap((capacity) => {
      const placed = capacity.poolId === null ? started(fill, state, { capacity, left }) : roomIn(fill, capacity, left);
      return placed ? [{ capacity, placed }] : [];
    });
  const perReplica = ({ placed: { cost, replicas } }: (typeof fitting)[number]): bigint => totalOf(cost) / BigInt(replicas);
  return fitting.sort(
    (a, b) => compare(perReplica(a), perReplica(b)) || compare(keyOfRoom(a.capacity), keyOfRoom(b.capacity)),
  )[0];
}

/** What is there already comes first of equals. */
const keyOfRoom = ({ poolId, offering, zone }: FreeCapacity): string => `${poolId ?? '~'} ${offering.id} ${zone}`;

function roomIn({ model }: Fill, { offering, zone, poolId, replicas: most }: FreeCapacity, left: number): PlacedReplicas {
  const replicas = Math.min(left, most);
  const cost = model.parts(offering, 0n, { replicas, machines: 0 });
  return { offering, zone, replicas, machines: 0, source: null, poolId, cost };
}

/** As many as somebody may start; null = nobody, or its provider has none. */
function started(
  { model }: Fill,
  { facts }: State,
  { capacity, left }: { readonly capacity: FreeCapacity; readonly left: number },
): PlacedReplicas | null {
  const { offering, zone, perMachine = 1 } = capacity;
  const region = regionOf(offering);
  const most = (rentableIn(facts, region, zone) ?? Infinity) * perMachine;
  const replicas = Math.min(left, capacity.replicas, most);
  if (replicas === 0 || refusalOf(facts, offering)) return null;
  const machines = machinesFor(replicas, perMachine);
  const source = sourceFor(facts, { offering, zone, machines })?.source ?? null;
  const cost = model.parts(offering, 0n, { replicas, machines });
  return { offering, zone, replicas, machines, source, poolId: null, cost };
}

const isAllowed = (question: Question, { offering }: FreeCapacity): boolean =>
  rejectRegion(question, offering.provider, regionOf(offering)) === null &&
  rejectKind(question, offering) === null &&
  rejectAccelerator(question, offering.accelerator) === null;

type Rented = ScoredRow & { readonly zone: string };

function bestRented(fill: Fill, state: State, turn: Turn, replicas: number): Rented | undefined {
  const { index, model } = fill;
  const question = questionOf(fill, state, turn, replicas);
  const isFirst = state.placed.length === 0 && replicas === replicasOfDemand(fill.question.demand) && !turn.part.kept;
  const scan = isFirst ? fill.first : scanOfferings(index, question, { replicas, model, now: turn.now, shown: TIES });
  const scoring = { index, question, model, replicas };
  const found = rowsOf(fill, scan).flatMap(({ row, zones }) => {
    const scored = scoreRow(scoring, row);
    return zones.map((zone) => ({ ...scored, zone }));
  });
  return found
    .filter((one) => isZoneWanted(fill, state, zoneKey(one)))
    .sort((a, b) => compare(a.score, b.score) || compare(index.keyOf(a.row), index.keyOf(b.row)) || compare(a.zone, b.zone))[0];
}

/** The best row of each provider, or where replicas are to be spread that of each place, with the zones that it can be had in. */
function rowsOf(fill: Fill, { best, bestOfPlace }: Scan): { readonly row: number; readonly zones: readonly string[] }[] {
  const { index, question } = fill;
  if (spreads(question)) return [...bestOfPlace].map(([place, row]) => ({ row, zones: zonesOf(fill, index.places[place]) }));
  return [...best.values()].flatMap((rows) =>
    rows.slice(0, TIES).map((row) => ({ row, zones: [index.candidates[row]?.offering.zone ?? ''] })),
  );
}

/** Beyond 9,007 USD per hour so many are compared exactly. */
const TIES = 4;

/** Zones that an offering of a place can be had in; any zone is one where nothing is to be spread. */
function zonesOf({ question }: Fill, place: OfferingIndex['places'][number] | undefined): readonly string[] {
  if (!place) return [];
  if (place.zone !== '') return [place.zone];
  const zones = question.facts.zonesOf?.get(place.region) ?? [];
  const only = (question.facts.rentable ?? []).filter((one) => one.region === place.region && one.machines > 0);
  return zones.filter((zone) => only.length === 0 || only.some((one) => one.zones.length === 0 || one.zones.includes(zone)));
}

/** Parts that met in one place are one. */
function merged(placed: readonly PlacedReplicas[]): PlacedReplicas[] {
  const keyOf = ({ offering, zone, source, poolId }: PlacedReplicas): string => [offering.id, zone, source, poolId].join(' ');
  return [...Map.groupBy(placed, keyOf).values()].flatMap((some) => {
    const [first] = some;
    if (!first) return [];
    const sum = (amount: (one: PlacedReplicas) => number): number => some.reduce((all, one) => all + amount(one), 0);
    const part = (key: keyof CostParts): bigint => some.reduce((all, { cost }) => all + cost[key], 0n);
    const cost = { price: part('price'), egress: part('egress'), interruptions: part('interruptions'), move: part('move') };
    return [{ ...first, replicas: sum(({ replicas }) => replicas), machines: sum(({ machines }) => machines), cost }];
  });
}
