import type { Clock } from '../../kernel/clock.ts';
import { DAY_MS, MINUTE_MS } from '../../kernel/instant.ts';
import type { CheckFinding, CloudCheck } from '../cloud-check.port.ts';
import type {
  CloudFence,
  CloudInterruption,
  CloudPool,
  CloudPoolState,
  CloudResult,
  MachineProvider,
} from '../cloud-provider.port.ts';
import { KeptRentals } from '../kept-rentals.adapter.ts';
import { regionOf } from '../offering-key.ts';
import type { OfferingListing, PriceFeed, PriceReading } from '../price-feed.port.ts';
import { nameMachines } from '../plan-scale.ts';
import {
  ACCEPTED,
  EMPTY_BOOK,
  isThere,
  ledBy,
  machinesOf,
  planRentals,
  refused,
  stateOf,
  tidied,
  withoutPool,
  withPool,
  withScaled,
  type Rental,
  type RentalBook,
  type RentedPool,
} from '../rentals.ts';
import type { StateStore } from '../state-store.port.ts';
import { machinesFor, offeringsOf, type MachineList, type OwnMachine } from './machine-list.ts';
import { runCommand, type OwnProgram } from './run-command.adapter.ts';

/** When it is worth asking again for a machine, while all are taken. Higher: one that came back is noticed late; lower: asked in vain. */
const RETRY_MS = MINUTE_MS;
/** Programs that run at once. Higher: processes for each machine of a large list; lower: machines that hang hold up the others. */
const MAX_PROGRAMS = 8;
/** Machines of pools that are no more are remembered for this long. */
const REMEMBERED_MS = DAY_MS;

export interface MachinesCloudDeps {
  readonly name: string;
  readonly clock: Clock;
  readonly list: MachineList;
  readonly power: OwnProgram | null;
  readonly state: StateStore | null;
}

/** A machine's name, and how often any was rented: never the same twice. */
const instanceIdOf = (machine: string, number: number): string => `${machine}.${number}`;
const machineOf = (instanceId: string): string => instanceId.slice(0, instanceId.lastIndexOf('.'));

/**
 * Machines of one's own: pools take them from a list, and give them back to it. With `power` a machine is woken when it is taken and put to rest
 * when it is given back; both are tried again, each time that the pool is looked at, until they succeed.
 */
export class MachinesCloud implements MachineProvider, PriceFeed, CloudCheck {
  readonly name: string;
  readonly #deps: MachinesCloudDeps;
  readonly #books: KeptRentals;
  /** By instance id: what the program said when it last failed. */
  readonly #failures = new Map<string, string>();
  #isPowering = false;

  constructor(deps: MachinesCloudDeps) {
    this.name = deps.name;
    this.#deps = deps;
    this.#books = new KeptRentals(deps.state);
  }

  ensurePool(pool: CloudPool, fence: CloudFence): Promise<CloudResult> {
    return this.#change({ key: pool.key, fence }, (book) => {
      const problem = this.#problemWith(pool);
      return problem === null ? { book: withPool(book, pool), answer: ACCEPTED } : { book, answer: refused('INVALID', problem) };
    });
  }

  async scalePool(
    key: string,
    wish: { readonly desired: number; readonly release: readonly string[] },
    fence: CloudFence,
  ): Promise<CloudResult> {
    const result = await this.#change({ key, fence }, (book) => {
      const known = book.pools[key];
      if (!known) return { book, answer: refused('NO_SUCH_POOL', `there is no pool ${key}`) };
      return this.#scale(book, known, wish);
    });
    this.#settlePower();
    return result;
  }

  /** What is rented is in its books, whatever the list says now. */
  outOfReach(): null {
    return null;
  }

  async deletePool(key: string, fence: CloudFence): Promise<CloudResult> {
    const result = await this.#change({ key, fence }, (book) => ({
      book: withoutPool(book, key, (machine) => this.#stopped(machine)),
      answer: ACCEPTED,
    }));
    this.#settlePower();
    return result;
  }

  async observeNodes(key: string): Promise<CloudPoolState | null> {
    this.#settlePower();
    const known = (await this.#books.read()).pools[key];
    return known ? stateOf(known, this.#deps.clock.now(), hasNode) : null;
  }

  /** Nobody takes them away. */
  interruptions(): Promise<readonly CloudInterruption[]> {
    return Promise.resolve([]);
  }

  listOfferings(regions: readonly string[]): Promise<OfferingListing> {
    const offerings = offeringsOf(this.#deps.list).map(({ offering }) => offering);
    return Promise.resolve({ offerings: offerings.filter((one) => regions.includes(regionOf(one))), unreadable: [] });
  }

  observePrices(regions: readonly string[]): Promise<PriceReading> {
    const prices = offeringsOf(this.#deps.list).flatMap(({ price }) => price ?? []);
    const asked = prices.filter(({ key }) => regions.includes(regionOf(key)));
    return Promise.resolve({ prices: asked, unreadable: [], asOf: this.#deps.clock.now() });
  }

  async check(): Promise<readonly CheckFinding[]> {
    const book = await this.#books.read();
    const { machines } = this.#deps.list;
    const rented = machinesOf(book).filter(isThere).length;
    const failures = [...this.#failures].map(([id, message]): CheckFinding => ({
      aspect: 'permissions',
      status: 'failed',
      message: `${machineOf(id)}: ${message}`,
    }));
    const found: CheckFinding = {
      ...{ aspect: 'quota', status: rented < machines.length ? 'ok' : 'failed' },
      message: `${rented} of ${machines.length} machines are taken.`,
    };
    return [...failures, found];
  }

  #problemWith(pool: CloudPool): string | null {
    const { list } = this.#deps;
    if (pool.region !== null && pool.region !== list.region) return `its machines are in ${list.region}, not in ${pool.region}`;
    if (pool.capacityType !== list.capacityType) return `its machines are ${list.capacityType}, not ${pool.capacityType}`;
    return machinesFor(list, pool).length > 0
      ? null
      : `it has no machine of type ${pool.instanceType} in ${pool.zone ?? 'any zone'}`;
  }

  #scale(
    book: RentalBook,
    known: RentedPool,
    wish: { readonly desired: number; readonly release: readonly string[] },
  ): { book: RentalBook; answer: CloudResult } {
    const plan = planRentals(known, wish);
    if (plan.kind === 'refuse') return { book, answer: nameMachines(plan.left, wish.desired) };
    const { pool } = known;
    const taken = new Set(
      [...machinesOf(book), ...book.past].filter((one) => !isFree(one)).map(({ instanceId }) => machineOf(instanceId)),
    );
    const free = machinesFor(this.#deps.list, pool).filter(({ name }) => !taken.has(name));
    if (free.length < plan.grow)
      return {
        book,
        answer: refused('STOCK_OUT', `${free.length} such machines are free, and ${plan.grow} are wished for`, RETRY_MS),
      };
    const rented = free.slice(0, plan.grow).map((machine, n) => this.#start(machine, book.made + n + 1));
    const renamed = withoutNodes(book, new Set(rented.map(({ nodeName }) => nodeName)));
    const machines = (renamed.pools[pool.key] ?? known).machines.map((one) =>
      plan.release.includes(one.instanceId) ? this.#stopped(one) : one,
    );
    return { book: withScaled(renamed, pool.key, { desired: wish.desired, machines, rented }), answer: ACCEPTED };
  }

  #start({ name, nodeName, zone, instanceType }: OwnMachine, number: number): Rental {
    const now = this.#deps.clock.now();
    const { region, capacityType } = this.#deps.list;
    return {
      ...{ instanceId: instanceIdOf(name, number), nodeName, kind: { region, zone, instanceType, capacityType } },
      ...{ startedAt: now, runningAt: this.#deps.power ? null : now, stoppedAt: null, goneAt: null, notice: null },
    };
  }

  #stopped(machine: Rental): Rental {
    const now = this.#deps.clock.now();
    return { ...machine, stoppedAt: now, goneAt: this.#deps.power ? null : now };
  }

  #change(
    { key, fence }: { readonly key: string; readonly fence: CloudFence },
    body: (book: RentalBook) => { readonly book: RentalBook; readonly answer: CloudResult },
  ): Promise<CloudResult> {
    return this.#books.change<CloudResult>((kept) => {
      const led = ledBy(kept, key, fence);
      if (!led) return { book: kept, answer: { outcome: 'stale_epoch' } };
      const now = this.#deps.clock.now();
      return body(tidied(led, { now, before: now - REMEMBERED_MS, isKept: hasNode }));
    });
  }

  /** Nobody waits for it: a program that hangs holds up no pool. One after the other: a machine is not put to rest while it is being woken. */
  #settlePower(): void {
    const { power } = this.#deps;
    if (!power || this.#isPowering) return;
    this.#isPowering = true;
    void this.#power(power).finally(() => (this.#isPowering = false));
  }

  async #power(program: OwnProgram): Promise<void> {
    const book = await this.#books.read().catch(() => EMPTY_BOOK);
    const waiting = [...machinesOf(book), ...book.past].filter(isWaiting);
    const turns = waiting.values();
    const inTurn = async (): Promise<void> => {
      for (const machine of turns) await this.#powerOne(program, machine);
    };
    await Promise.all(Array.from({ length: Math.min(MAX_PROGRAMS, waiting.length) }, inTurn));
  }

  async #powerOne(program: OwnProgram, { instanceId, stoppedAt }: Rental): Promise<void> {
    const verb = stoppedAt === null ? 'wake' : 'rest';
    try {
      await runCommand(program, verb, { machine: machineOf(instanceId) });
      const done = verb === 'wake' ? { runningAt: this.#deps.clock.now() } : { goneAt: this.#deps.clock.now() };
      await this.#books.change((book) => ({
        book: mapped(book, (one) => (one.instanceId === instanceId ? { ...one, ...done } : one)),
        answer: null,
      }));
      this.#failures.delete(instanceId);
    } catch (error) {
      this.#failures.set(instanceId, (error as Error).message);
    }
  }
}

/** Its node may still be there: whoever sees it must know that it was given back. */
const hasNode = ({ nodeName }: Rental): boolean => nodeName !== null;

/** Given back, and at rest. */
const isFree = ({ stoppedAt, goneAt }: Rental): boolean => stoppedAt !== null && goneAt !== null;

const isWaiting = ({ runningAt, stoppedAt, goneAt }: Rental): boolean =>
  stoppedAt === null ? runningAt === null : goneAt === null;

/** A node is of the machine that was rented last: older rentals of it name it no more. */
const withoutNodes = (book: RentalBook, nodeNames: ReadonlySet<string | null>): RentalBook =>
  mapped(book, (one) => (nodeNames.has(one.nodeName) ? { ...one, nodeName: null } : one));

const mapped = (book: RentalBook, change: (machine: Rental) => Rental): RentalBook => ({
  ...book,
  pools: Object.fromEntries(
    Object.entries(book.pools).map(([key, one]) => [key, { ...one, machines: one.machines.map(change) }]),
  ),
  past: book.past.map(change),
});
