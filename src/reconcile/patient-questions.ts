/**
 * Questions to others who may take their time, one of each name at once: whoever asks waits a little, and else goes on without. What comes later
 * is the answer to the next one who asks.
 */
export class PatientQuestions {
  readonly #waitMs: number;
  readonly #pending = new Map<string, Promise<unknown>>();

  /** `waitMs`: higher, and the slowest holds up everybody; lower, and slow ones are always heard a turn late. */
  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  /** Null = no answer yet. Throws what the question throws. */
  async ask<T>(name: string, question: () => Promise<T>): Promise<T | null> {
    // A name is asked one question: its pending answer is of that type.
    const answer = (this.#pending.get(name) as Promise<T> | undefined) ?? question();
    this.#pending.set(name, answer);
    const isThere = await this.#settles(answer);
    if (!isThere) return null;
    this.#pending.delete(name);
    return answer;
  }

  async #settles(answer: Promise<unknown>): Promise<boolean> {
    const { promise: late, resolve } = Promise.withResolvers<false>();
    const timer = setTimeout(() => resolve(false), this.#waitMs);
    try {
      return await Promise.race([
        answer.then(
          () => true,
          () => true,
        ),
        late,
      ]);
    } finally {
      clearTimeout(timer);
    }
  }
}
