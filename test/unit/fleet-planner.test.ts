// Joint plans in a thread of their own: the real thread beside the same plan made in place, and threads of a few lines that break, hang or tell who
// they are.
import { afterEach, describe, expect, test } from 'vitest';
import { planFleet } from '../../src/scheduler/plan-fleet.ts';
import { ThreadedFleetPlanner } from '../../src/scheduler/threaded-fleet-planner.adapter.ts';
import { seededRandom } from '../../src/simulation/seeded-random.ts';
import { randomFleet } from '../support/random-fleets.ts';
import { eventually } from '../support/eventually.ts';

const REAL = new URL('../../src/main/fleet-planner.ts', import.meta.url);
const threadThat = (body: string): URL =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`import { parentPort, threadId } from 'node:worker_threads'; parentPort.on('message', ({ exact }) => { ${body} });`)}`,
  );
const input = randomFleet(seededRandom(3), { demands: 30, offerings: 100, replicas: 20 });

describe('Joint plans: made in a thread of their own', () => {
  const opened: ThreadedFleetPlanner[] = [];
  const open = (script: URL, { answerMs = 20_000, idleMs = 20_000 } = {}): ThreadedFleetPlanner => {
    const planner = new ThreadedFleetPlanner({ script, answerMs, idleMs });
    opened.push(planner);
    return planner;
  };
  afterEach(() => Promise.all(opened.splice(0).map((planner) => planner.stop())));

  test('the plan is the same, and everything else goes on while the solver works', async () => {
    const planner = open(REAL);
    const exact = planner.plan({ input, exact: true });
    const greedy = planner.plan({ input, exact: false });
    let turns = 0;
    const counting = setInterval(() => (turns += 1), 1);
    const plan = await exact;
    clearInterval(counting);
    expect(turns).toBeGreaterThan(5);
    expect(await greedy).toEqual({ ok: true, value: planFleet(input) });
    expect(plan).toMatchObject({ ok: true, value: { method: 'exact', unplaced: [] } });
  }, 30_000);

  test('a thread that breaks says so, and the next question has another one', async () => {
    const planner = open(threadThat(`if (exact) throw new Error('no memory'); parentPort.postMessage({ threadId });`));
    const first = await planner.plan({ input, exact: false });
    expect(await planner.plan({ input, exact: true })).toEqual({ ok: false, error: 'The planner broke: no memory' });
    const second = await planner.plan({ input, exact: false });
    expect([first.ok, second.ok]).toEqual([true, true]);
    expect(second).not.toEqual(first);
  });

  test('a thread that hangs is ended and its question given up; those that waited are answered', async () => {
    const planner = open(threadThat('if (exact) for (;;); parentPort.postMessage({ threadId });'), { answerMs: 3_000 });
    const [hung, next] = await Promise.all([planner.plan({ input, exact: true }), planner.plan({ input, exact: false })]);
    expect(hung).toEqual({ ok: false, error: 'The planner had no answer within 3 s.' });
    expect(next.ok).toBe(true);
  });

  test('no more than five questions at a time', async () => {
    const planner = open(threadThat('parentPort.postMessage({ threadId });'));
    const answers = await Promise.all(Array.from({ length: 7 }, () => planner.plan({ input, exact: false })));
    expect(answers.map(({ ok }) => ok)).toEqual([true, true, true, true, true, false, false]);
    expect((await planner.plan({ input, exact: false })).ok).toBe(true);
  });

  test('a thread that nobody asks is ended', async () => {
    const planner = open(threadThat('parentPort.postMessage({ threadId });'), { idleMs: 1 });
    const first = await planner.plan({ input, exact: false });
    await eventually(async () => expect(await planner.plan({ input, exact: false })).not.toEqual(first));
  });

  test('who waits when it is stopped is told', async () => {
    const planner = open(threadThat('for (;;);'));
    const waiting = [planner.plan({ input, exact: true }), planner.plan({ input, exact: true })];
    await new Promise((resolve) => setImmediate(resolve));
    await planner.stop();
    expect((await Promise.all(waiting)).map((answer) => (answer.ok ? '' : answer.error))).toEqual([
      'The planner ended before it had an answer.',
      'The planner is stopped.',
    ]);
  });
});
