import type { Principal } from '../kernel/principal.ts';

/** Live subscriptions of one token, over all its sockets and event streams. Higher: one caller holds much memory; lower: a team's dashboards share too few. */
export const MAX_STREAMS_PER_TOKEN = 200;
/** Sockets of one token; each proves it again twice a second. Higher: more look-ups for nothing; lower: tabs and programs push each other out. */
export const MAX_SOCKETS_PER_TOKEN = 50;

/** How many of something each caller holds at the moment, up to a limit. */
export class Slots {
  readonly #max: number;
  readonly #held = new Map<string, number>();

  constructor(max: number) {
    this.#max = max;
  }

  /** Takes one and returns how to give it back (once; again is harmless), or null when the caller has all that it may. */
  take(principal: Principal): (() => void) | null {
    const key = callerKey(principal);
    const held = this.#held.get(key) ?? 0;
    if (held >= this.#max) return null;
    this.#held.set(key, held + 1);
    let given = false;
    return () => {
      if (!given) this.#give(key);
      given = true;
    };
  }

  #give(key: string): void {
    const left = (this.#held.get(key) ?? 1) - 1;
    if (left > 0) this.#held.set(key, left);
    else this.#held.delete(key);
  }
}

/** A token, or a person with one of an issuer, whose tokens come and go. */
export const callerKey = (principal: Principal): string => principal.tokenId ?? principal.id;
