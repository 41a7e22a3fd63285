import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../kernel/clock.ts';
import { isId, newId, type Id } from '../kernel/id.ts';
import type { Random } from '../kernel/random.ts';

/** Names this machine's local cluster: one per data folder, made once and kept beside what runs there. */
export function machineId(path: string, clock: Clock, random: Random): Id {
  const known = existsSync(path) ? readFileSync(path, 'utf8').trim() : '';
  if (isId(known)) return known;
  const fresh = newId(clock.now(), random);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, `${fresh}\n`, { mode: 0o600 });
  renameSync(`${path}.new`, path);
  return fresh;
}
