/** Options of the argument `idempotencyKey` of every mutation. */
export const IDEMPOTENCY_KEY = { nullable: true, description: 'Makes a repeat safe: the same key and input is done once.' };
