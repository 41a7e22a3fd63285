import type { Accelerator } from '../../kernel/resources.ts';
import type { CloudPool } from '../cloud-provider.port.ts';
import type { CapacityType, Offering } from '../offering.ts';
import { offeringIdOf, offeringKeyText, type OfferingKey } from '../offering-key.ts';
import type { ObservedPrice } from '../price-feed.port.ts';
import { CsvReader } from '../read-csv.ts';

/** A machine that stands somewhere and is paid for already. */
export interface OwnMachine {
  readonly name: string;
  readonly nodeName: string;
  readonly instanceType: string;
  readonly zone: string;
  readonly architecture: string;
  readonly cpuMilli: number;
  readonly memoryMib: number;
  readonly accelerator: Accelerator | null;
  /** USD as written; null = nobody says. */
  readonly pricePerHour: string | null;
}

/** All of them, and how they are sold. */
export interface MachineList {
  /** As `Offering.provider`. */
  readonly cloud: string;
  readonly region: string;
  readonly capacityType: CapacityType;
  readonly machines: readonly OwnMachine[];
}

/** Why the list cannot be used; null = it can. */
export function problemWith(machines: readonly OwnMachine[]): string | null {
  const twice = (of: (machine: OwnMachine) => string) =>
    machines.find((one, i) => machines.findIndex((other) => of(other) === of(one)) < i);
  const [name, node] = [twice((one) => one.name), twice((one) => one.nodeName)];
  if (name) return `two machines are called ${name.name}`;
  if (node) return `two machines are node ${node.nodeName}`;
  const odd = machines.find((one) => shapeOf(one) !== shapeOf(machines.find((other) => isAlike(one, other)) ?? one));
  return odd ? `machines of type ${odd.instanceType} in ${odd.zone} differ: give them types of their own` : null;
}

const isAlike = (a: OwnMachine, b: OwnMachine): boolean => a.instanceType === b.instanceType && a.zone === b.zone;

const shapeOf = ({ architecture, cpuMilli, memoryMib, accelerator, pricePerHour }: OwnMachine): string =>
  JSON.stringify([architecture, cpuMilli, memoryMib, accelerator, pricePerHour]);

/** The machines that a pool may have. */
export const machinesFor = ({ machines }: MachineList, { zone, instanceType }: CloudPool): OwnMachine[] =>
  machines.filter((one) => (zone === null || one.zone === zone) && (instanceType === null || one.instanceType === instanceType));

const keyOf = ({ cloud, region, capacityType }: MachineList, { zone, instanceType }: OwnMachine): OfferingKey => ({
  ...{ provider: cloud, region, zone, instanceType, capacityType },
});

/** One offering for each type and zone, with what is said of its price. */
export function offeringsOf(list: MachineList): { readonly offering: Offering; readonly price: ObservedPrice | null }[] {
  const kinds = new Map(list.machines.map((one) => [offeringKeyText(keyOf(list, one)), one]));
  return [...kinds.values()].map((machine) => {
    const key = keyOf(list, machine);
    const { architecture, cpuMilli, memoryMib, accelerator, pricePerHour } = machine;
    return {
      offering: { ...key, id: offeringIdOf(key), architecture, cpuMilli, memoryMib, accelerator, interruptionBand: null },
      price: pricePerHour === null ? null : { key, amount: pricePerHour, currency: 'USD', unit: 'hour', effectiveFrom: null },
    };
  });
}

/** A table with a header as objects; null = it is none: a cell that does not end, or a line of another length. */
export function rowsOfCsv(text: string): Record<string, string>[] | null {
  const [names = [], ...records] = recordsOf(text) ?? [];
  if (names.length === 0) return null;
  const rows = records.filter((cells) => cells.some((cell) => cell !== ''));
  if (rows.some(({ length }) => length !== names.length)) return null;
  return rows.map((cells) => Object.fromEntries(names.map((name, i) => [name.trim(), cells[i]?.trim() ?? ''])));
}

function recordsOf(text: string): string[][] | null {
  const reader = new CsvReader();
  try {
    const records = reader.add(text);
    const last = reader.end();
    return last ? [...records, last] : records;
  } catch {
    return null;
  }
}
