/** Bad answers in a row that eject a replica. Lower: one unlucky request ejects; higher: a sick replica eats more requests. */
const BAD_ANSWERS = 5;
/** First ejection; each further one in a row lasts twice as long. Lower: the dead are asked again at once. */
const FIRST_EJECTION_MS = 500;
/** Longest ejection. Higher: a healed replica idles. */
const LAST_EJECTION_MS = 30_000;

/** How one replica has been answering. */
export interface Health {
  badInARow: number;
  ejections: number;
  ejectedUntilMs: number;
}

export type Outcome = 'good' | 'bad' | 'unreachable';

export const newHealth = (): Health => ({ badInARow: 0, ejections: 0, ejectedUntilMs: 0 });

/** `bad` is an answer 502, 503 or 504, or none before the deadline; `unreachable` is a connection that failed, which ejects at once: a dead replica is the least loaded. */
export function noteOutcome(health: Health, outcome: Outcome, nowMs: number): void {
  if (outcome === 'good') {
    health.badInARow = 0;
    health.ejections = 0;
    return;
  }
  health.badInARow += 1;
  if (outcome === 'bad' && health.badInARow < BAD_ANSWERS) return;
  if (nowMs < health.ejectedUntilMs) return;
  health.ejectedUntilMs = nowMs + Math.min(LAST_EJECTION_MS, FIRST_EJECTION_MS * 2 ** health.ejections);
  health.ejections = Math.min(health.ejections + 1, 10);
  health.badInARow = 0;
}

export const isEjected = (health: Health, nowMs: number): boolean => nowMs < health.ejectedUntilMs;
