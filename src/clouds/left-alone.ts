import { CloudUnknown, type CloudResult } from './cloud-provider.port.ts';

/** The tag by which something is a pool's. */
export interface OwnerTag {
  readonly name: string;
  readonly value: string;
}

/** What nobody of ours may touch, for others made it or changed it; of the pool that was asked for nothing is known. */
export class LeftAlone extends CloudUnknown {}

/** What is called as a pool would be, and was made by others. */
export const notOurs = (what: string, { name, value }: OwnerTag): LeftAlone =>
  new LeftAlone(
    `${what} is there and was not made by this installation: it is left alone. Tag it ${name}=${value} to hand it over, or choose another name`,
  );

/** The highest epoch that changed a pool, as it is written there; none = 0. A mark that somebody made illegible lets nobody in. */
export function epochIn(mark: string | undefined, what: string): number {
  if (mark === undefined) return 0;
  if (/^\d{1,15}$/.test(mark)) return Number(mark);
  throw new LeftAlone(
    `${what} says of its leader "${mark.slice(0, 40)}", which is no number: it is left alone until that is mended`,
  );
}

/** A change, which is refused where it would be one of what is left alone. */
export async function refusedIfLeftAlone(change: () => Promise<CloudResult>): Promise<CloudResult> {
  try {
    return await change();
  } catch (error) {
    if (!(error instanceof LeftAlone)) throw error;
    return { outcome: 'refused', reason: 'INVALID', message: error.message, retryAfterMs: null };
  }
}
