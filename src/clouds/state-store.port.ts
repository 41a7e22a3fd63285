/** Keeps what a provider without a memory of its own must know after a restart. */
export interface StateStore {
  /** Null = nothing was saved yet. Safe to repeat. */
  load(): Promise<{ readonly version: number; readonly text: string } | null>;
  /**
   * Saves what follows the version that was loaded (0 = there was none). False = somebody else saved meanwhile, and this was not: load
   * and decide again.
   */
  save(text: string, after: number): Promise<boolean>;
}
