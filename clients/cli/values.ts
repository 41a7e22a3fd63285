import { CommandFailure, EXIT } from './exit-codes.ts';

/** An exact decimal of an option, as it was written; anything else is a wrong argument. */
export function decimal(option: string, text: string): string {
  if (!/^-?\d{1,15}(\.\d{1,12})?$/.test(text))
    throw new CommandFailure(`${option} "${text}" must be a number such as 12.5.`, EXIT.USAGE);
  return text;
}

/** A day or an instant of an option, as the API writes it. A day begins at midnight UTC. */
export function instant(option: string, text: string): string {
  const isOne = /^\d{4}-\d{2}-\d{2}(T.*(Z|[+-]\d{2}:\d{2}))?$/.test(text) && !Number.isNaN(Date.parse(text));
  if (!isOne) throw new CommandFailure(`${option} "${text}" must be like 2027-01-01 or 2027-01-01T12:00:00Z.`, EXIT.USAGE);
  return new Date(text).toISOString();
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time that something may take, in milliseconds. */
export function duration(option: string, text: string): number {
  const [, count, unit = ''] = /^(\d{1,5})([smh])$/.exec(text) ?? [];
  if (count === undefined) throw new CommandFailure(`${option} "${text}" must look like 90s, 10m or 1h.`, EXIT.USAGE);
  return Number(count) * (UNITS[unit] ?? 0);
}

/** How far back, in milliseconds. */
export function since(text: string): number {
  const [, count, unit = ''] = /^(\d{1,5})([mhd])$/.exec(text) ?? [];
  if (count === undefined) throw new CommandFailure(`--since "${text}" must look like 30m, 24h or 7d.`, EXIT.USAGE);
  return Number(count) * (UNITS[unit] ?? 0);
}

/** `provider/region`, or `provider/*` for all of a provider. */
export function region(option: string, text: string): string {
  if (!/^[^/\s]+\/[^/\s]+$/.test(text))
    throw new CommandFailure(`${option} "${text}" must be provider/region, such as aws/us-east-1 or 'aws/*'.`, EXIT.USAGE);
  return text;
}
