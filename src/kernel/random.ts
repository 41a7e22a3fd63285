/** Where randomness comes from. Only `main/` has the real one; tests and simulations pass a seeded one. */
export interface Random {
  /** `count` unpredictable bytes. */
  bytes(count: number): Uint8Array;
  /** A float in `[0, 1)`. */
  fraction(): number;
}
