import type { Id } from '../../src/kernel/id.ts';
import type { Principal, Role } from '../../src/kernel/principal.ts';
import type { Random } from '../../src/kernel/random.ts';

/** Somebody with one role on one team (null = the platform) and, if given, one project of it. */
export const principalOf = (role: Role, teamId: Id | null, projectId: Id | null = null): Principal => ({
  id: '00000000-0000-7000-8000-0000000000aa',
  kind: 'person',
  name: role,
  grants: [{ role, teamId, projectId }],
  platformActions: [],
  tokenId: null,
});

/** The same bytes for the same seed (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const fraction = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  return { fraction, bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(fraction() * 256)) };
}
