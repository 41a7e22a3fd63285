import { access } from 'node:fs/promises';
import type { CheckAspect, CheckFinding } from './cloud-check.port.ts';
import { NoCredentials, RestRefused } from './rest-errors.ts';

/** The provider could be asked, and something is lacking: what, and what to do about it. */
export class Lacking extends Error {
  override readonly name = 'Lacking';
}

/** What a look found. Whoever is not let in has failed; whoever gets no answer knows nothing. */
export async function findingOf(aspect: CheckAspect, look: () => Promise<string>): Promise<CheckFinding> {
  try {
    return { aspect, status: 'ok', message: await look() };
  } catch (error) {
    const isRefused = error instanceof RestRefused && error.status < 500 && error.status !== 429;
    const failed = isRefused || error instanceof Lacking || error instanceof NoCredentials;
    return { aspect, status: failed ? 'failed' : 'unknown', message: (error as Error).message };
  }
}

export const focusFinding = (file: string): Promise<CheckFinding> =>
  findingOf('bill', async () => {
    await access(file).catch(() => {
      throw new Lacking(`The FOCUS file ${file} cannot be read: export it there.`);
    });
    return `The FOCUS file ${file} is there.`;
  });
