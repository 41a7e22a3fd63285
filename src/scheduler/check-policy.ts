import { formatUsd, type PicoUsdPerHour } from '../kernel/money.ts';
import { replicasOfDemand } from './demand.ts';
import { rejectRegion, type Question } from './filter-offerings.ts';
import type { OfferingIndex } from './offering-index.ts';
import { meansAnyRegion } from './region-pattern.ts';

/** Parts of a policy that cannot be had together. */
export interface Contradiction {
  /** By their names in the wish, the one to change first. */
  readonly fields: readonly string[];
  /** One or two sentences with the numbers. */
  readonly message: string;
}

interface Asked {
  readonly index: OfferingIndex;
  readonly question: Question;
  /** Null = nothing was found for all replicas. */
  readonly filled: readonly unknown[] | null;
  readonly hourly: PicoUsdPerHour;
}

/** The first contradiction of a policy in itself, with the regions that there are, or with what the cheapest costs; null = none. */
export function findContradiction(asked: Asked): Contradiction | null {
  const inItself = CHECKS.map((check) => check(asked)).find((one) => one !== null) ?? null;
  return inItself ?? budget(asked);
}

const CHECKS: readonly ((asked: Asked) => Contradiction | null)[] = [kinds, spread, neighbours, places, distance];

function kinds({ question: { demand, policy } }: Asked): Contradiction | null {
  const percent = policy.minOnDemandPercent ?? 0;
  if (percent === 0 || demand.capacityTypes.some((type) => type !== 'spot')) return null;
  const message = `At least ${percent} % must be on demand, and only ${demand.capacityTypes.join(', ')} is allowed.`;
  return { fields: ['minOnDemandPercent', 'capacityTypes'], message };
}

function spread({ question: { demand, policy, facts }, index }: Asked): Contradiction | null {
  const zones = policy.zones ?? 1;
  const replicas = replicasOfDemand(demand);
  if (zones <= 1 || replicas === 0) return null;
  if (zones > replicas) return { fields: ['zones', 'replicas'], message: `${replicas} replicas cannot be in ${zones} zones.` };
  const allowed = index.regions.filter(({ provider, region }) => !rejectRegion({ demand, policy, facts }, provider, region));
  const there = allowed.reduce((all, { region }) => all + (facts.zonesOf?.get(region)?.length ?? 0), 0);
  if (there >= zones || allowed.length === 0) return null;
  return { fields: ['zones', 'regions'], message: `The allowed regions have ${there} known zones; ${zones} are asked for.` };
}

function neighbours({ question: { policy } }: Asked): Contradiction | null {
  const { near, apart = [] } = policy;
  if (!near || near.length === 0 || near.some((region) => !apart.includes(region))) return null;
  const message = `It must be near to what is in ${near.join(', ')}, and apart from what is there, too.`;
  return { fields: ['near', 'apart'], message };
}

/** Which field leaves no region: each is added to those before it. */
function places({ question: { policy }, index }: Asked): Contradiction | null {
  const { residency, providers, near } = policy;
  const narrowed: readonly (readonly [string, string, (one: OfferingIndex['regions'][number]) => boolean])[] = [
    ['regions', `regions (${policy.regions.join(', ')})`, ({ region }) => meansAnyRegion(policy.regions, region)],
    ['residency', `residency (${residency?.join(', ')})`, ({ region }) => !residency || meansAnyRegion(residency, region)],
    ['providers', `clouds (${providers?.join(', ')})`, ({ provider }) => !providers || providers.includes(provider)],
    ['near', `near (${near?.join(', ')})`, ({ region }) => !near || near.includes(region)],
  ];
  let left = index.regions;
  for (const [at, [field, words, allows]] of narrowed.entries()) {
    const next = left.filter(allows);
    if (next.length === 0 && left.length > 0 && at > 0) {
      const message = `No region is left: regions allows ${policy.regions.join(', ')}, and ${words} excludes all of them.`;
      return { fields: [field, 'regions'], message };
    }
    left = next;
  }
  return null;
}

function distance({ question, index }: Asked): Contradiction | null {
  const { demand, policy, facts } = question;
  const { latencyMs, callers = [] } = demand;
  if (latencyMs === undefined || callers.length === 0) return null;
  const anyDistance = { ...question, demand: { ...demand, callers: [] } };
  const allowed = index.regions.filter(({ provider, region }) => !rejectRegion(anyDistance, provider, region));
  const furthest = allowed.map(({ region }) => ({
    region,
    ms: Math.max(...callers.map((caller) => facts.roundTripMs?.(region, caller.region) ?? Infinity)),
  }));
  const [nearest] = furthest.sort((a, b) => a.ms - b.ms || (a.region < b.region ? -1 : 1));
  if (!nearest || nearest.ms <= latencyMs) return null;
  const where = callers.map(({ region }) => region).join(', ');
  const fields = ['latencyMs', 'callers', policy.residency ? 'residency' : 'regions'];
  return nearest.ms === Infinity
    ? { fields, message: `Nobody measured how far any allowed region is from callers in ${where}; ${latencyMs} ms are the goal.` }
    : {
        fields,
        message: `The nearest allowed region, ${nearest.region}, is ${nearest.ms} ms from callers in ${where}; ${latencyMs} ms are the goal.`,
      };
}

function budget({ question: { demand, policy }, filled, hourly }: Asked): Contradiction | null {
  const { maxSpendPerHour } = policy;
  if (!filled || maxSpendPerHour === undefined || hourly <= maxSpendPerHour || replicasOfDemand(demand) === 0) return null;
  const message = `The cheapest that fits costs ${formatUsd(hourly)} USD per hour; maxSpendPerHour is ${formatUsd(maxSpendPerHour)}.`;
  return { fields: ['maxSpendPerHour', 'replicas'], message };
}
