// A table of what `deploy --wait` sees and whether it goes on waiting.
import { describe, expect, test } from 'vitest';
import { stateOf, type WaitState, type Watched } from '../../clients/cli/commands/deploy.ts';

const EARLIER = '2026-01-31T11:00:00.000Z';
const NOW = '2026-01-31T12:00:00.000Z';

interface Row {
  readonly observed?: number;
  readonly phase: string;
  readonly rollout?: Watched['rollout'];
}

const seenAs = ({ observed = 2, phase, rollout = null }: Row): Watched => ({
  generation: 2,
  status: {
    phase,
    observedGeneration: observed,
    conditions: [{ type: 'Ready', status: 'False', message: 'Not all are ready.' }],
  },
  rollout,
});

describe('CLI: deploy --wait', () => {
  test.each<[string, Row, WaitState['outcome']]>([
    ['ready as wished', { phase: 'READY' }, 'ready'],
    ['ready, but of the wish before', { phase: 'READY', observed: 1 }, 'on its way'],
    ['failed, but of the wish before', { phase: 'FAILED', observed: 1 }, 'on its way'],
    ['still starting', { phase: 'DEPLOYING' }, 'on its way'],
    ['serving below the wish', { phase: 'DEGRADED' }, 'on its way'],
    ['failed', { phase: 'FAILED' }, 'failed'],
    [
      'taken back, the old revision serves',
      { phase: 'READY', rollout: { state: 'ROLLED_BACK', reason: 'It exits at once.', startedAt: NOW } },
      'failed',
    ],
    [
      'an earlier rollout was taken back',
      { phase: 'READY', rollout: { state: 'ROLLED_BACK', reason: 'It exits at once.', startedAt: EARLIER } },
      'ready',
    ],
    ['going back', { phase: 'DEPLOYING', rollout: { state: 'ROLLING_BACK', reason: null, startedAt: NOW } }, 'on its way'],
  ])('%s', (_name, row, outcome) => {
    expect(stateOf(seenAs(row), EARLIER).outcome).toBe(outcome);
  });

  test('says why', () => {
    const rollout = { state: 'ROLLED_BACK', reason: 'It exits at once.', startedAt: NOW };
    expect(stateOf(seenAs({ phase: 'DEGRADED', rollout }), null).why).toBe('Not all are ready. It exits at once.');
  });
});
