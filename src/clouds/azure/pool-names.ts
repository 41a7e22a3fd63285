import { digestOf } from '../../kernel/digest.ts';
import { MINUTE_MS, type Instant } from '../../kernel/instant.ts';

/** Tags by which a pool is found again; Azure hands them down to its machines' scale set. */
export const TAG = {
  /** The pool's key. */
  pool: 'purser-pool',
  /** The id of the installation that made it. */
  installation: 'purser-installation',
  /** The highest epoch that changed it. */
  epoch: 'purser-epoch',
  /** Digest of the description that it was last given. */
  description: 'purser-description',
} as const;

export type Tags = Readonly<Record<string, string>>;

/** Where the name of a pool that was just made may be looked for: lists lag behind, names do not. */
export interface PoolNames {
  readonly now: string;
  readonly before: string;
}

/**
 * Azure counts the machines of a pool from 0, so that a pool that is made again under its old name has its old machines' names too. A name
 * therefore ends with the minute in which the pool was made.
 */
const namesOf = (make: (minute: string) => string, now: Instant): PoolNames => {
  const minute = (at: Instant): string =>
    Math.floor(at / MINUTE_MS)
      .toString(36)
      .padStart(5, '0')
      .slice(-5);
  return { now: make(minute(now)), before: make(minute(now - MINUTE_MS)) };
};

const short = (key: string, length: number): string =>
  BigInt(`0x${digestOf(key).slice('sha256:'.length)}`)
    .toString(36)
    .slice(0, length);

/** At most 12 lower-case letters and digits, a letter first. */
export const agentPoolNames = (key: string, now: Instant): PoolNames => namesOf((minute) => `p${short(key, 6)}${minute}`, now);

/** Readable, and unique by the digest of the key; at most 52 characters, since the names of machines begin with it. */
export const scaleSetNames = (key: string, now: Instant): PoolNames => {
  const readable = key
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 32);
  return namesOf((minute) => `purser-${readable}-${short(key, 6)}${minute}`, now);
};

/** Of a machine of a scale set, as its own name has it: `aks-p1-123-vmss_4`; as nodes show it, too. */
export function machineIdOf(resourceId: string): string | null {
  const [, scaleSet, number] = /\/virtualMachineScaleSets\/([^/]+)\/virtualMachines\/([^/]+)$/i.exec(resourceId) ?? [];
  return scaleSet === undefined || number === undefined ? null : `${scaleSet.toLowerCase()}_${number}`;
}
