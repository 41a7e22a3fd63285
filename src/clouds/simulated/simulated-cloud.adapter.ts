import type { Clock } from '../../kernel/clock.ts';
import { DAY_MS, type Instant } from '../../kernel/instant.ts';
import type { Random } from '../../kernel/random.ts';
import type { Bill } from '../bill.port.ts';
import type { CheckFinding, CloudCheck } from '../cloud-check.port.ts';
import {
  CloudUnknown,
  type CloudFence,
  type CloudInterruption,
  type CloudPool,
  type CloudPoolState,
  type CloudProvider,
  type CloudResult,
} from '../cloud-provider.port.ts';
import { KeptRentals } from '../kept-rentals.adapter.ts';
import type { OfferingListing, PriceReading } from '../price-feed.port.ts';
import { billOfRentals } from '../rental-bill.ts';
import { nameMachines } from '../plan-scale.ts';
import {
  ACCEPTED,
  isThere,
  ledBy,
  machinesOf,
  nodeOf,
  planRentals,
  refused,
  stateOf,
  tidied,
  withoutPool,
  withPool,
  withScaled,
  type Rental,
  type RentalBook,
  type RentedKind,
  type RentedPool,
} from '../rentals.ts';
import type { StateStore } from '../state-store.port.ts';
import { listed, priced } from './market-listing.ts';
import { rateSteps, type PricedMarket } from './simulated-market.ts';
import { RETRY_MS, kindToRent, withInterruptions, type Notices } from './take-machines.ts';

/** How the account, its machines and its calls behave. */
export interface SimulatedMarket {
  /** From the wish to a running machine, in ms: anything between the two. */
  readonly startMs: readonly [number, number];
  readonly stopMs: number;
  /** Machines that one account may have; more is refused (`QUOTA`). */
  readonly quota: number;
  /** Machines there are of each instance type; more is refused (`STOCK_OUT`). Absent = enough. */
  readonly stock: Readonly<Record<string, number>>;
  /** Share of calls, 0 to 1, that are carried out or not and never answered. */
  readonly lost: number;
  /** What every call is answered instead, in words; null = calls are answered. */
  readonly trouble: string | null;
}

export const CALM_MARKET: SimulatedMarket = {
  ...{ startMs: [20_000, 60_000], stopMs: 10_000, quota: 100, stock: {} },
  ...{ lost: 0, trouble: null },
};

/** Machines are on bills for this long after they stopped. Higher: more to keep; lower: a bill of last month is short. */
const BILLED_MS = 70 * DAY_MS;

export interface SimulatedCloudDeps {
  /** Default `simulated`. */
  readonly name?: string;
  /** Whose offerings it sells, as the price book names them. Default: its own name. */
  readonly cloud?: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly market?: Partial<SimulatedMarket>;
  /** What it sells, at which prices, and when it is short of it; absent = anything, always, without a price. */
  readonly priced?: PricedMarket | undefined;
  /** Absent = everything is forgotten when the process ends. */
  readonly state?: StateStore;
}

/** A cloud without machines: for trying policies, and for tests. Everything follows from the seed and the clock. */
export class SimulatedCloud implements CloudProvider, CloudCheck {
  readonly name: string;
  readonly #deps: SimulatedCloudDeps;
  readonly #cloud: string;
  readonly #books: KeptRentals;
  /** By instance id: notices that somebody asked for. */
  readonly #notices: Notices = new Map();
  #market: SimulatedMarket;
  #losesNext: 'request' | 'answer' | null = null;

  constructor(deps: SimulatedCloudDeps) {
    this.name = deps.name ?? 'simulated';
    this.#deps = deps;
    this.#cloud = deps.cloud ?? this.name;
    this.#books = new KeptRentals(deps.state ?? null);
    this.#market = { ...CALM_MARKET, ...deps.market };
  }

  /** The market changes: stock runs out, calls get lost. */
  change(market: Partial<SimulatedMarket>): void {
    this.#market = { ...this.#market, ...market };
  }

  /** The next wish gets no answer: it never arrived, or it was carried out. */
  loseNext(what: 'request' | 'answer'): void {
    this.#losesNext = what;
  }

  /** The market wants a machine back: a notice now, and it is gone after `noticeMs`. */
  interrupt(instanceId: string, noticeMs: number): void {
    const now = this.#deps.clock.now();
    if (!this.#notices.has(instanceId)) this.#notices.set(instanceId, { noticedAt: now, goneAt: now + noticeMs });
  }

  ensurePool(pool: CloudPool, fence: CloudFence): Promise<CloudResult> {
    return this.#change({ key: pool.key, fence }, (book) => {
      const kind = kindToRent(this.#deps.priced, pool, this.#deps.clock.now());
      if ('outcome' in kind && kind.reason === 'INVALID') return { book, answer: kind };
      return { book: withPool(book, pool), answer: ACCEPTED };
    });
  }

  scalePool(
    key: string,
    wish: { readonly desired: number; readonly release: readonly string[] },
    fence: CloudFence,
  ): Promise<CloudResult> {
    return this.#change({ key, fence }, (book) => {
      const known = book.pools[key];
      if (!known) return { book, answer: refused('NO_SUCH_POOL', `there is no pool ${key}`) };
      return this.#scale(book, known, wish);
    });
  }

  /** What is rented is in its books. */
  outOfReach(): null {
    return null;
  }

  deletePool(key: string, fence: CloudFence): Promise<CloudResult> {
    return this.#change({ key, fence }, (book) => ({
      book: withoutPool(book, key, (machine) => this.#stopped(machine)),
      answer: ACCEPTED,
    }));
  }

  async observeNodes(key: string): Promise<CloudPoolState | null> {
    const known = (await this.#shown()).pools[key];
    return known ? stateOf(known, this.#deps.clock.now()) : null;
  }

  async interruptions(): Promise<readonly CloudInterruption[]> {
    const now = this.#deps.clock.now();
    return machinesOf(await this.#shown()).flatMap((machine): CloudInterruption[] => {
      const { instanceId, nodeName, notice } = machine;
      if (!notice || nodeOf(machine, now).phase === 'gone') return [];
      return [{ instanceId, nodeName, ...notice, message: 'The market wants the machine back.' }];
    });
  }

  async listOfferings(regions: readonly string[]): Promise<OfferingListing> {
    await this.#reach();
    return { offerings: this.#deps.priced ? listed(this.#deps.priced, this.#cloud, regions) : [], unreadable: [] };
  }

  async observePrices(regions: readonly string[]): Promise<PriceReading> {
    await this.#reach();
    const now = this.#deps.clock.now();
    const prices = this.#deps.priced ? priced(this.#deps.priced, this.#cloud, { regions, now }) : [];
    return { prices, unreadable: [], asOf: now };
  }

  async fetchBill(from: Instant, to: Instant): Promise<Bill> {
    await this.#reach();
    const now = this.#deps.clock.now();
    const market = this.#deps.priced;
    const book = this.#seen(await this.#books.read(), now);
    return billOfRentals([...machinesOf(book), ...book.past], {
      ...{ from, to, now, serviceName: 'Simulated machines' },
      stepsOf: (kind, start, end) => (market ? rateSteps(market, kind, start, end) : [{ from: start, to: end, rate: 0n }]),
    });
  }

  async check(): Promise<readonly CheckFinding[]> {
    const { quota, trouble } = this.#market;
    if (trouble !== null) return [{ aspect: 'credentials', status: 'unknown', message: `It does not answer: ${trouble}.` }];
    const rented = machinesOf(await this.#books.read()).filter(isThere).length;
    const left = rented < quota;
    return [
      { aspect: 'credentials', status: 'ok', message: 'It asks for none.' },
      {
        ...{ aspect: 'quota', status: left ? 'ok' : 'failed' },
        message: `${rented} of ${quota} machines are rented${left ? '' : ': raise "quota" in its settings'}.`,
      },
    ];
  }

  #scale(
    book: RentalBook,
    known: RentedPool,
    wish: { readonly desired: number; readonly release: readonly string[] },
  ): { book: RentalBook; answer: CloudResult } {
    const plan = planRentals(known, wish);
    if (plan.kind === 'refuse') return { book, answer: nameMachines(plan.left, wish.desired) };
    const now = this.#deps.clock.now();
    const there = known.machines.filter(isThere).length;
    const problem = this.#problemWith(book, known.pool, wish.desired - there);
    if (problem) return { book, answer: problem };
    const kind = kindToRent(this.#deps.priced, known.pool, now);
    const machines = known.machines.map((one) => (plan.release.includes(one.instanceId) ? this.#stopped(one) : one));
    const { desired } = wish;
    const scaled = (rented: readonly Rental[]) => ({
      book: withScaled(book, known.pool.key, { desired, machines, rented }),
      answer: ACCEPTED,
    });
    if (plan.grow === 0) return scaled([]);
    if ('outcome' in kind) return { book, answer: kind };
    return scaled(Array.from({ length: plan.grow }, (_, n) => this.#start(book.made + n + 1, kind)));
  }

  #problemWith(book: RentalBook, { instanceType }: CloudPool, more: number): CloudResult | null {
    if (more <= 0) return null;
    const { quota, stock } = this.#market;
    const rented = machinesOf(book).filter(isThere).length;
    if (rented + more > quota) return refused('QUOTA', `the account may have ${quota} machines and has ${rented}`, RETRY_MS);
    const type = instanceType ?? '';
    const left = stock[type];
    const taken = Object.values(book.pools)
      .filter(({ pool }) => pool.instanceType === instanceType)
      .flatMap(({ machines }) => machines.filter(isThere)).length;
    if (left !== undefined && taken + more > left) return refused('STOCK_OUT', `there is no ${type} left`, RETRY_MS);
    return null;
  }

  #start(number: number, kind: RentedKind): Rental {
    const [least, most] = this.#market.startMs;
    const startedAt = this.#deps.clock.now();
    const instanceId = `sim-${String(number).padStart(6, '0')}`;
    const runningAt = startedAt + Math.round(least + (most - least) * this.#deps.random.fraction());
    return {
      ...{ instanceId, nodeName: instanceId, kind, startedAt, runningAt },
      ...{ stoppedAt: null, goneAt: null, notice: null },
    };
  }

  #stopped(machine: Rental): Rental {
    const now = this.#deps.clock.now();
    return { ...machine, stoppedAt: now, goneAt: now + this.#market.stopMs };
  }

  /** A lost call may have had its effect: half of them have. */
  async #change(
    { key, fence }: { readonly key: string; readonly fence: CloudFence },
    body: (book: RentalBook) => { readonly book: RentalBook; readonly answer: CloudResult },
  ): Promise<CloudResult> {
    this.#refuseInTrouble();
    const loses = this.#whatIsLost();
    if (loses === 'request') throw new CloudUnknown('the simulated call was lost');
    const result = await this.#books.change<CloudResult>((kept) => {
      const led = ledBy(kept, key, fence);
      if (!led) return { book: kept, answer: { outcome: 'stale_epoch' } };
      const now = this.#deps.clock.now();
      return body(tidied(this.#seen(led, now), { now, before: now - BILLED_MS }));
    });
    if (loses === 'answer') throw new CloudUnknown('the answer of the simulated call was lost');
    return result;
  }

  /** What is seen now of all pools. */
  async #shown(): Promise<RentalBook> {
    await this.#reach();
    return this.#seen(await this.#books.read(), this.#deps.clock.now());
  }

  /** The book with what the market took away by now. */
  #seen(book: RentalBook, now: Instant): RentalBook {
    return withInterruptions(book, { market: this.#deps.priced, notices: this.#notices, now });
  }

  #reach(): Promise<void> {
    this.#refuseInTrouble();
    if (this.#market.lost > 0 && this.#deps.random.fraction() < this.#market.lost)
      throw new CloudUnknown('the simulated call was lost');
    return Promise.resolve();
  }

  #refuseInTrouble(): void {
    if (this.#market.trouble !== null) throw new CloudUnknown(`the simulated cloud answers: ${this.#market.trouble}`);
  }

  #whatIsLost(): 'request' | 'answer' | null {
    const next = this.#losesNext;
    this.#losesNext = null;
    const { lost } = this.#market;
    if (next || lost === 0 || this.#deps.random.fraction() >= lost) return next;
    return this.#deps.random.fraction() < 0.5 ? 'request' : 'answer';
  }
}
