import type { ClusterPort } from '../../src/deployments/cluster.port.ts';
import type { Database } from '../../src/persistence/database.ts';

/** Thrown where the control plane is made to die. */
export class Crash extends Error {}

/** Dies at one call: before it happens, or after it happened and before anybody hears of it. Then every further call fails too. */
export interface CrashPoint {
  readonly call: number;
  readonly when: 'before' | 'after';
}

export class Crasher {
  readonly #point: CrashPoint;
  #calls = 0;
  fired = false;

  constructor(point: CrashPoint) {
    this.#point = point;
  }

  async #guard<T>(body: () => Promise<T>): Promise<T> {
    if (this.fired) throw new Crash('dead');
    this.#calls += 1;
    const here = this.#calls === this.#point.call;
    if (here && this.#point.when === 'before') this.#die();
    const value = await body();
    if (here) this.#die();
    return value;
  }

  #die(): never {
    this.fired = true;
    throw new Crash(`call ${this.#point.call}, ${this.#point.when}`);
  }

  /** The database whose transactions count as calls. */
  database(real: Database): Database {
    return new Proxy(real, {
      get: (target, name) => {
        if (name === 'read') return (...args: Parameters<Database['read']>) => this.#guard(() => target.read(...args));
        if (name === 'write') return (...args: Parameters<Database['write']>) => this.#guard(() => target.write(...args));
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  /** The cluster whose effects and observations count as calls. */
  cluster(real: ClusterPort): ClusterPort {
    return {
      kind: real.kind,
      apply: (...args) => this.#guard(() => real.apply(...args)),
      remove: (...args) => this.#guard(() => real.remove(...args)),
      // Nothing is left over here; more calls would only be more places to die in the same way.
      tidy: (...args) => real.tidy(...args),
      observe: () => this.#guard(() => real.observe()),
      changed: (signal) => real.changed(signal),
      logs: (...args) => real.logs(...args),
    };
  }

  /** Anything whose methods of these names count as calls. */
  around<T extends object>(real: T, methods: readonly (keyof T & string)[]): T {
    return new Proxy(real, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        const counted = methods.some((method) => method === name);
        return (...args: unknown[]): unknown => {
          const call = () => Reflect.apply(value, target, args) as Promise<unknown>;
          return counted ? this.#guard(call) : call();
        };
      },
    });
  }
}
