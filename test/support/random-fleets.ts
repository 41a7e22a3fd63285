import type { CapacityType } from '../../src/clouds/offering.ts';
import type { Random } from '../../src/kernel/random.ts';
import type { FleetDemand, FleetInput, FleetLimit, FleetOffering } from '../../src/scheduler/fleet.ts';

export interface FleetSize {
  readonly demands: number;
  readonly offerings: number;
  readonly replicas: number;
}

const MODELS = ['T4', 'L4', 'A100'];
const SIZES = [1, 2, 4, 8];
const REGIONS = ['aws/us-east-1', 'aws/eu-west-1', 'gcp/us-central1', 'azure/eastus'];

/** A market of machine sizes in a few regions and zones, with and without accelerators, and deployments of all sizes with policies; seeded. */
export function randomFleet(random: Random, { demands, offerings, replicas }: FleetSize): FleetInput {
  const below = (limit: number): number => Math.floor(random.fraction() * limit);
  const one = <T>(items: readonly T[]): T => items[below(items.length)]!;
  const market = Array.from({ length: offerings }, (_, n) => offeringOf(n, below, one, random));
  const asked = Array.from({ length: demands }, (_, n) => demandOf(n, { below, one, market, replicas }));
  const limits: FleetLimit[] = Array.from({ length: below(3) }, (_, n) => ({
    key: `quota-${n}`,
    offerings: market.filter(() => below(4) === 0).map(({ key }) => key),
    maxMachines: 1 + below(replicas * 2),
  }));
  return { demands: asked, offerings: market, limits, budgetPerHour: null };
}

type Below = (limit: number) => number;
type One = <T>(items: readonly T[]) => T;

function offeringOf(n: number, below: Below, one: One, random: Random): FleetOffering {
  const size = one(SIZES);
  const model = below(3) === 0 ? null : one(MODELS);
  const capacityType: CapacityType = below(3) === 0 ? 'spot' : 'on_demand';
  const usd =
    size *
    (0.19 + (model === null ? 0 : 0.4 + MODELS.indexOf(model))) *
    (capacityType === 'spot' ? 0.35 : 1) *
    (0.85 + 0.3 * random.fraction());
  const region = one(REGIONS);
  return {
    key: `${region}/${String(n).padStart(3, '0')}/${model ?? 'cpu'}-${size}/${capacityType}`,
    pricePerHour: BigInt(Math.round(usd * 10_000)) * 10n ** 8n,
    resources: {
      ...{ cpuMilli: 8_000 * size, memoryMib: 32_768 * size },
      accelerator: model === null ? null : { model, countMilli: 1000 * size, memoryMib: 16_384 },
    },
    ...{ zone: `${region}-${one(['a', 'b', 'c'])}`, capacityType },
    maxMachines: below(6) === 0 ? 1 + below(4) : null,
  };
}

interface Ask {
  readonly below: Below;
  readonly one: One;
  readonly market: readonly FleetOffering[];
  readonly replicas: number;
}

function demandOf(n: number, { below, one, market, replicas: most }: Ask): FleetDemand {
  const model = below(2) === 0 ? null : one(MODELS);
  const replicas = 1 + below(most);
  const regions = REGIONS.filter(() => below(3) > 0);
  return {
    ...{ key: `team/project/deployment-${String(n).padStart(3, '0')}`, replicas },
    resources: {
      ...{ cpuMilli: one([500, 1_000, 2_000, 3_500, 6_000]), memoryMib: one([1_024, 4_096, 10_240, 24_000]) },
      accelerator: model === null ? null : { model, countMilli: one([250, 500, 1_000, 1_000, 2_000]), memoryMib: 0 },
    },
    offerings: market
      .filter(({ key }) => regions.length === 0 || regions.some((region) => key.startsWith(region)))
      .map(({ key }) => key),
    minOnDemand: below(3) === 0 ? below(replicas + 1) : 0,
    maxPerZone: below(4) === 0 ? Math.ceil(replicas / 2) : null,
  };
}
