/** Integer microseconds since 1970 that never go back within a process: busy time must not depend on a stepped clock. */
export interface MicroClock {
  nowUs(): number;
}
