/** A programmer error: something that the code promised is not so. Never shown to a caller, always logged. */
export class InvariantViolation extends Error {
  override readonly name = 'InvariantViolation';
}

/** Throws `InvariantViolation` unless `condition` holds. The message is for the log, not for a caller. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantViolation(message);
}
