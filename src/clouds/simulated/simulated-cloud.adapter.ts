import type { Clock } from '../../kernel/clock.ts';
import { HOUR_MS, type Instant } from '../../kernel/instant.ts';
import type { Random } from '../../kernel/random.ts';
import {
  CloudUnknown,
  type CloudFence,
  type CloudInterruption,
  type CloudNode,
  type CloudPool,
  type CloudPoolState,
  type MachineProvider,
  type CloudRefusal,
  type CloudResult,
} from '../cloud-provider.port.ts';

/** How the market and the machines behave. */
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
}

export const CALM_MARKET: SimulatedMarket = { startMs: [20_000, 60_000], stopMs: 10_000, quota: 100, stock: {}, lost: 0 };

/** When a stock-out or a quota is worth another try. Higher: capacity that came back is noticed late; lower: a market is asked in vain. */
const RETRY_MS = 60_000;
/** Gone machines show for this long. */
const REMEMBERED_MS = HOUR_MS;

export interface SimulatedCloudDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly market?: Partial<SimulatedMarket>;
}

interface Machine {
  readonly instanceId: string;
  readonly runningAt: Instant;
  readonly startedAt: Instant;
  /** When it was given back or taken away; null = it is there. */
  stoppedAt: Instant | null;
  interruption: { readonly noticedAt: Instant; readonly goneAt: Instant } | null;
}

interface SimulatedPool {
  pool: CloudPool;
  desired: number;
  readonly machines: Machine[];
}

/** A market without machines: for trying policies, and for tests. Everything follows from the seed and the clock. */
export class SimulatedCloud implements MachineProvider {
  readonly name = 'simulated';
  readonly #deps: SimulatedCloudDeps;
  readonly #pools = new Map<string, SimulatedPool>();
  #market: SimulatedMarket;
  #epoch = 0;
  #made = 0;
  #losesNext: 'request' | 'answer' | null = null;

  constructor(deps: SimulatedCloudDeps) {
    this.#deps = deps;
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
    const machine = this.#machines().find((one) => one.instanceId === instanceId);
    if (machine) machine.interruption ??= { noticedAt: now, goneAt: now + noticeMs };
  }

  ensurePool(pool: CloudPool, fence: CloudFence): Promise<CloudResult> {
    return this.#call(fence, () => {
      const known = this.#pools.get(pool.key);
      if (known) known.pool = pool;
      else this.#pools.set(pool.key, { pool, desired: 0, machines: [] });
      return ACCEPTED;
    });
  }

  scalePool(
    key: string,
    wish: { readonly desired: number; readonly release: readonly string[] },
    fence: CloudFence,
  ): Promise<CloudResult> {
    return this.#call(fence, () => {
      const known = this.#pools.get(key);
      if (!known) return refused('NO_SUCH_POOL', `there is no pool ${key}`, null);
      return this.#scale(known, wish);
    });
  }

  deletePool(key: string, fence: CloudFence): Promise<CloudResult> {
    return this.#call(fence, () => {
      const known = this.#pools.get(key);
      if (!known) return ACCEPTED;
      for (const machine of known.machines) machine.stoppedAt ??= this.#deps.clock.now();
      this.#pools.delete(key);
      return ACCEPTED;
    });
  }

  async observeNodes(key: string): Promise<CloudPoolState | null> {
    this.#maybeLose();
    const known = this.#pools.get(key);
    if (!known) return Promise.resolve(null);
    this.#takeAway();
    const now = this.#deps.clock.now();
    const nodes = known.machines.map((machine) => this.#nodeOf(machine, now));
    const shown = nodes.filter(({ phase, since }) => phase !== 'gone' || now - since <= REMEMBERED_MS);
    return { desired: known.desired, nodes: shown.sort((a, b) => (a.instanceId < b.instanceId ? -1 : 1)) };
  }

  async interruptions(): Promise<readonly CloudInterruption[]> {
    this.#maybeLose();
    this.#takeAway();
    const now = this.#deps.clock.now();
    return Promise.resolve(
      this.#machines().flatMap((machine): CloudInterruption[] => {
        const { instanceId, interruption } = machine;
        if (!interruption || this.#nodeOf(machine, now).phase === 'gone') return [];
        return [{ instanceId, nodeName: instanceId, ...interruption, message: 'The market wants the machine back.' }];
      }),
    );
  }

  /** A lost call may have had its effect: half of them have. */
  async #call(fence: CloudFence, act: () => CloudResult): Promise<CloudResult> {
    const loses = this.#whatIsLost();
    if (loses === 'request') throw new CloudUnknown('the simulated call was lost');
    if (fence.epoch < this.#epoch) return Promise.resolve({ outcome: 'stale_epoch' });
    this.#epoch = fence.epoch;
    this.#takeAway();
    const result = act();
    if (loses === 'answer') throw new CloudUnknown('the answer of the simulated call was lost');
    return result;
  }

  #whatIsLost(): 'request' | 'answer' | null {
    const next = this.#losesNext;
    this.#losesNext = null;
    const { lost } = this.#market;
    if (next || lost === 0 || this.#deps.random.fraction() >= lost) return next;
    return this.#deps.random.fraction() < 0.5 ? 'request' : 'answer';
  }

  #maybeLose(): void {
    if (this.#market.lost > 0 && this.#deps.random.fraction() < this.#market.lost)
      throw new CloudUnknown('the simulated call was lost');
  }

  #scale(known: SimulatedPool, wish: { readonly desired: number; readonly release: readonly string[] }): CloudResult {
    const there = known.machines.filter(({ stoppedAt }) => stoppedAt === null);
    const released = there.filter(({ instanceId }) => wish.release.includes(instanceId));
    const left = there.length - released.length;
    if (wish.desired < left)
      return refused('NAME_MACHINES', `${left} machines would be left, and ${wish.desired} are wished for`, null);
    const problem = this.#problemWith(known, wish.desired - there.length);
    if (problem) return problem;
    const now = this.#deps.clock.now();
    for (const machine of released) machine.stoppedAt = now;
    for (let count = left; count < wish.desired; count += 1) known.machines.push(this.#start(now));
    known.desired = wish.desired;
    return ACCEPTED;
  }

  #problemWith({ pool }: SimulatedPool, more: number): CloudResult | null {
    if (more <= 0) return null;
    const { quota, stock } = this.#market;
    const rented = this.#machines().filter(({ stoppedAt }) => stoppedAt === null).length;
    if (rented + more > quota) return refused('QUOTA', `the account may have ${quota} machines and has ${rented}`, RETRY_MS);
    const type = pool.instanceType ?? '';
    const there = stock[type];
    const taken = [...this.#pools.values()]
      .filter((one) => one.pool.instanceType === pool.instanceType)
      .flatMap(({ machines }) => machines.filter(({ stoppedAt }) => stoppedAt === null)).length;
    if (there !== undefined && taken + more > there) return refused('STOCK_OUT', `there is no ${type} left`, RETRY_MS);
    return null;
  }

  #start(now: Instant): Machine {
    const [least, most] = this.#market.startMs;
    this.#made += 1;
    return {
      instanceId: `sim-${String(this.#made).padStart(6, '0')}`,
      startedAt: now,
      runningAt: now + Math.round(least + (most - least) * this.#deps.random.fraction()),
      stoppedAt: null,
      interruption: null,
    };
  }

  /** What was taken away is no longer wished for: whoever wants another one asks for it. */
  #takeAway(): void {
    const now = this.#deps.clock.now();
    for (const known of this.#pools.values()) {
      const taken = known.machines.filter(
        ({ stoppedAt, interruption }) => stoppedAt === null && interruption && interruption.goneAt <= now,
      );
      for (const machine of taken) machine.stoppedAt = machine.interruption?.goneAt ?? now;
      known.desired -= taken.length;
    }
  }

  #nodeOf({ instanceId, startedAt, runningAt, stoppedAt, interruption }: Machine, now: Instant): CloudNode {
    const base = { instanceId, nodeName: instanceId };
    if (stoppedAt !== null) {
      const goneAt = interruption?.goneAt === stoppedAt ? stoppedAt : stoppedAt + this.#market.stopMs;
      return now >= goneAt ? { ...base, phase: 'gone', since: goneAt } : { ...base, phase: 'stopping', since: stoppedAt };
    }
    return now >= runningAt ? { ...base, phase: 'running', since: runningAt } : { ...base, phase: 'starting', since: startedAt };
  }

  #machines(): Machine[] {
    return [...this.#pools.values()].flatMap(({ machines }) => machines);
  }
}

const ACCEPTED: CloudResult = { outcome: 'accepted' };

const refused = (reason: CloudRefusal, message: string, retryAfterMs: number | null): CloudResult => ({
  outcome: 'refused',
  ...{ reason, message, retryAfterMs },
});
