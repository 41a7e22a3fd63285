import { setTimeout as sleep } from 'node:timers/promises';

/** Repeats a check until it neither throws nor gives false, or fails with its last error after the deadline. */
export async function eventually<T>(check: () => T | Promise<T>, deadlineMs = 10_000): Promise<Exclude<T, false>> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const outcome = await attempt(check);
    if (outcome.ok && outcome.value !== false) return outcome.value as Exclude<T, false>;
    if (performance.now() > end) throw outcome.ok ? new Error('the condition did not come true in time') : outcome.error;
    await sleep(20);
  }
}

type Attempt<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

async function attempt<T>(check: () => T | Promise<T>): Promise<Attempt<T>> {
  try {
    return { ok: true, value: await check() };
  } catch (error) {
    return { ok: false, error };
  }
}
