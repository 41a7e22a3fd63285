import { newToken } from '../kernel/token.ts';
import { StartError } from './start-error.ts';
import { systemRandom } from './system-clock.ts';

const MADE = ['admin', 'router'] as const;

/** `purser new-token admin|router`: prints one for `PURSER_ADMIN_TOKEN_FILE` or `PURSER_ROUTER_TOKEN_FILE`. It is nobody's until a control plane reads it. */
export function printNewToken(): Promise<void> {
  const type = MADE.find((known) => known === process.argv[3]);
  if (!type) throw new StartError(`purser new-token needs one of: ${MADE.join(', ')}.`);
  console.log(newToken(type, systemRandom));
  return Promise.resolve();
}
