import { CloudUnknown, type CloudResult } from './cloud-provider.port.ts';

/** The tag by which something is a pool's. */
export interface OwnerTag {
  readonly name: string;
  readonly value: string;
}

/** What is called as a pool would be, and was made by others, is left alone: in words, with what hands it over. */
export const takenByOthers = (what: string, { name, value }: OwnerTag): string =>
  `${what} is there and was not made by this installation: it is left alone. Tag it ${name}=${value} to hand it over, or choose another name`;

/** A pool's name is another's; of the pool itself nothing is known. */
export class NotOurs extends CloudUnknown {
  constructor(what: string, tag: OwnerTag) {
    super(takenByOthers(what, tag));
  }
}

/** A change, which is refused where it would be one of what others made. */
export async function refusedIfNotOurs(change: () => Promise<CloudResult>): Promise<CloudResult> {
  try {
    return await change();
  } catch (error) {
    if (!(error instanceof NotOurs)) throw error;
    return { outcome: 'refused', reason: 'INVALID', message: error.message, retryAfterMs: null };
  }
}
