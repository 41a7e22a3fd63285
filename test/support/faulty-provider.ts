import {
  CloudUnknown,
  type CloudFence,
  type CloudInterruption,
  type CloudPool,
  type CloudPoolState,
  type CloudResult,
  type MachineProvider,
} from '../../src/clouds/cloud-provider.port.ts';
import type { Clock } from '../../src/kernel/clock.ts';

/** A provider whose machines are well and whose API is not. */
export class FaultyProvider implements MachineProvider {
  readonly name: string;
  /** What every call gets instead of an answer. */
  trouble: string | null = null;
  /** Whether it never says what there is. */
  hangs = false;
  /** What it shows is this old, in ms. */
  lateMs = 0;
  /** Each machine and each notice shows so often. */
  shows = 1;
  /** Notices besides the real ones, as they come. */
  notices: readonly CloudInterruption[] = [];
  /** Why its settings do not reach its pools. */
  outside: string | null = null;
  /** Verbs that were answered, or not. */
  readonly calls: string[] = [];
  readonly #real: MachineProvider;
  readonly #clock: Clock;
  readonly #past = new Map<string, { readonly at: number; readonly state: CloudPoolState | null }[]>();

  constructor(real: MachineProvider, clock: Clock) {
    this.name = real.name;
    this.#real = real;
    this.#clock = clock;
  }

  ensurePool(pool: CloudPool, fence: CloudFence): Promise<CloudResult> {
    return this.#call(`ensurePool ${pool.key}`, pool.key, () => this.#real.ensurePool(pool, fence));
  }

  scalePool(key: string, wish: { desired: number; release: readonly string[] }, fence: CloudFence): Promise<CloudResult> {
    return this.#call(`scalePool ${key} ${wish.desired} ${wish.release.join(' ')}`.trim(), key, () =>
      this.#real.scalePool(key, wish, fence),
    );
  }

  outOfReach(pool: CloudPool): string | null {
    return this.outside ?? this.#real.outOfReach(pool);
  }

  deletePool(key: string, fence: CloudFence): Promise<CloudResult> {
    return this.#call(`deletePool ${key}`, key, () => this.#real.deletePool(key, fence));
  }

  observeNodes(key: string): Promise<CloudPoolState | null> {
    return this.#call(`observeNodes ${key}`, key, async () => {
      if (this.hangs) return new Promise(() => undefined);
      const now = this.#clock.now();
      const real = await this.#real.observeNodes(key);
      const shown = this.lateMs > 0 ? this.#past.get(key)?.findLast(({ at }) => at <= now - this.lateMs)?.state : real;
      if (!shown) return null;
      return { ...shown, nodes: shown.nodes.flatMap((node) => Array.from({ length: this.shows }, () => node)) };
    });
  }

  interruptions(): Promise<readonly CloudInterruption[]> {
    return this.#call('interruptions', null, async () => {
      const told = [...(await this.#real.interruptions()), ...this.notices];
      return told.flatMap((notice) => Array.from({ length: this.shows }, () => notice));
    });
  }

  async #call<T>(words: string, key: string | null, body: () => Promise<T>): Promise<T> {
    this.calls.push(words);
    if (this.trouble !== null) throw new CloudUnknown(this.trouble);
    const answer = await body();
    if (key !== null) {
      const past = this.#past.get(key) ?? [];
      this.#past.set(key, [...past, { at: this.#clock.now(), state: await this.#real.observeNodes(key) }]);
    }
    return answer;
  }
}
