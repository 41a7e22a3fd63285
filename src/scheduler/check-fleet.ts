import { formatUsd } from '../kernel/money.ts';
import { isDivided, timesIn, type FleetDemand, type FleetInput, type FleetOffering } from './fleet.ts';
import type { FleetPlan, FleetSeats } from './plan-fleet.ts';

/** What a plan violates, one sentence each, from the input alone and exactly; none = it is sound. */
export function checkFleet(input: FleetInput, plan: FleetPlan): string[] {
  const offerings = new Map(input.offerings.map((offering) => [offering.key, offering]));
  const seatsOf = Map.groupBy(plan.seats, ({ demand }) => demand);
  return [
    ...input.demands.flatMap((demand) => demandFaults(demand, seatsOf.get(demand.key) ?? [], offerings, plan)),
    ...machineFaults(offerings, plan),
    ...limitFaults(input, plan),
    ...costFaults(input, offerings, plan),
  ];
}

type Offerings = ReadonlyMap<string, FleetOffering>;

function demandFaults(
  demand: FleetDemand,
  seats: readonly FleetSeats[],
  offerings: Offerings,
  { unplaced }: FleetPlan,
): string[] {
  const { key, replicas, minOnDemand, maxPerZone } = demand;
  const missing = unplaced.reduce((sum, one) => (one.demand === key ? sum + one.replicas : sum), 0);
  const spot = countOf(seats.filter(({ offering }) => offerings.get(offering)?.capacityType === 'spot'));
  const zones = [...Map.groupBy(seats, ({ offering }) => offerings.get(offering)?.zone)];
  const most = maxPerZone ?? replicas;
  return [
    ...(countOf(seats) + missing === replicas ? [] : [`${key}: ${countOf(seats)} seated and ${missing} missing of ${replicas}`]),
    ...seats.flatMap((seat) => seatFaults(demand, seat, offerings.get(seat.offering))),
    ...(minOnDemand > 0 && spot > Math.max(0, replicas - minOnDemand) ? [`${key}: ${spot} on spot`] : []),
    ...zones.flatMap(([zone, there]) => (countOf(there) > most ? [`${key}: ${countOf(there)} in ${zone}`] : [])),
  ];
}

const countOf = (seats: readonly FleetSeats[]): number => seats.reduce((sum, { replicas }) => sum + replicas, 0);

function seatFaults(
  demand: FleetDemand,
  { offering, perMachine, replicas }: FleetSeats,
  machine: FleetOffering | undefined,
): string[] {
  if (!machine || !demand.offerings.includes(offering)) return [`${demand.key}: ${offering} is not allowed`];
  if (timesIn(machine.resources, demand.resources) < perMachine)
    return [`${demand.key}: ${perMachine} do not fit on ${offering}`];
  return replicas > 0 ? [] : [`${demand.key}: ${replicas} replicas on ${offering}`];
}

/** Halves, quarters and eighths fill machines without loss, so their sum, rounded up, is what is needed. */
function machineFaults(offerings: Offerings, { machines, seats }: FleetPlan): string[] {
  return [...offerings.keys()].flatMap((key) => {
    const here = seats.filter(({ offering }) => offering === key);
    const partsOf = (some: readonly FleetSeats[]): number =>
      some.reduce((sum, { replicas, perMachine }) => sum + replicas / perMachine, 0);
    const alone = partsOf(here.filter(({ perMachine }) => !isDivided(perMachine)));
    const needed = Math.ceil(partsOf(here.filter(({ perMachine }) => isDivided(perMachine)))) + alone;
    const planned = machines.find(({ offering }) => offering === key)?.count ?? 0;
    return planned === needed ? [] : [`${key}: ${planned} machines, ${needed} are needed`];
  });
}

function limitFaults({ limits, offerings }: FleetInput, { machines }: FleetPlan): string[] {
  const own = offerings.flatMap(({ key, maxMachines }) => (maxMachines === null ? [] : [{ key, offerings: [key], maxMachines }]));
  return [...limits, ...own].flatMap(({ key, offerings: members, maxMachines }) => {
    const count = machines.reduce((sum, machine) => (members.includes(machine.offering) ? sum + machine.count : sum), 0);
    return count <= maxMachines ? [] : [`${key}: ${count} machines, at most ${maxMachines} are allowed`];
  });
}

function costFaults({ budgetPerHour }: FleetInput, offerings: Offerings, { machines, costPerHour }: FleetPlan): string[] {
  const cost = machines.reduce(
    (sum, { offering, count }) => sum + (offerings.get(offering)?.pricePerHour ?? 0n) * BigInt(count),
    0n,
  );
  return [
    ...(cost === costPerHour ? [] : [`the machines cost ${formatUsd(cost)}, not ${formatUsd(costPerHour)} USD per hour`]),
    ...(budgetPerHour === null || cost <= budgetPerHour ? [] : [`${formatUsd(cost)} USD per hour is over the budget`]),
  ];
}
