// Which loops a commit wakes: real services and event logs of two instances on one database, clusters in memory; what was woken is kept in a list.
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ChangeRepository } from '../../src/deployments/change.repository.ts';
import { ChangeWatch } from '../../src/deployments/change-watch.service.ts';
import { EventLog, record } from '../../src/events/event-log.ts';
import { draft } from '../support/event-drafts.ts';
import { Database } from '../../src/persistence/database.ts';
import { eventually } from '../support/eventually.ts';
import { quietLogger } from '../support/quiet-logger.ts';
import { on, openSpanningWorld, type SpanningWorld } from '../support/spanning-world.ts';

const LOOP = { kind: 'reconciler', loop: 'test' } as const;
let world: SpanningWorld;
/** As another instance is connected. */
let elsewhere: Database;
let here: Instance;
let there: Instance;

/** What one instance has running: its own log, and who hears of commits. */
interface Instance {
  /** Names of the clusters that each wake concerned, sorted; `any` for all. */
  readonly woken: string[];
  /** Whether machines will be taken away, of the last wake. */
  isInterrupted(): boolean | undefined;
  stop(): Promise<void>;
}

async function startInstance(database: Database): Promise<Instance> {
  const { clock, random } = world.ground;
  const woken: string[] = [];
  const interrupted: boolean[] = [];
  const names = new Map([...world.ground.others].map(([name, { id }]) => [id, name]));
  const events = new EventLog({ database, clock, logger: quietLogger });
  const watch = new ChangeWatch({
    ...{ database, events, random, logger: quietLogger, changes: new ChangeRepository() },
    onChange: (ids, isInterrupted) => {
      interrupted.push(isInterrupted);
      woken.push(
        ids === null
          ? 'any'
          : [...ids]
              .map((id) => names.get(id) ?? id)
              .sort()
              .join(),
      );
    },
  });
  await events.start();
  // What was recorded while the world was made.
  await events.sequence();
  watch.start();
  const stop = async () => {
    await watch.stop();
    await events.stop();
  };
  await eventually(() => woken.includes('any'));
  return { woken, isInterrupted: () => interrupted.at(-1), stop };
}

beforeEach(async () => {
  world = await openSpanningWorld();
  elsewhere = await Database.connect({ url: world.db.appUrl, maxConnections: 2 });
  [here, there] = [await startInstance(world.ground.database), await startInstance(elsewhere)];
});
afterEach(async () => {
  await here.stop();
  await there.stop();
  await elsewhere.close();
  await world.db.close();
});

const inBoth = (check: (woken: readonly string[]) => void) =>
  eventually(() => [here, there].forEach(({ woken }) => check(woken)));
const forget = () => [here, there].forEach(({ woken }) => woken.splice(0));

describe('Deployments: loops are woken by commits', () => {
  test('a wish wakes the clusters that it concerns and no other, on every instance, whoever it came to', async () => {
    await world.plane.deploy(1, on(['east', 50]));
    await inBoth((woken) => expect(woken.at(-1)).toBe('east'));
    forget();
    await world.plane.deploy(1, { ...on(['east', 50], ['west', 50]), replicas: 2 });
    await inBoth((woken) => expect(woken.at(-1)).toBe('east,west'));
    expect([...here.woken, ...there.woken]).not.toContain('any');
  });

  test('what the loop of the only cluster of a deployment did wakes nobody; loops that share one hear of each other', async () => {
    await world.plane.deploy(1, on(['east', 50]));
    await inBoth((woken) => expect(woken.at(-1)).toBe('east'));
    forget();
    await world.readyOn(1, [world.east, 1]);
    await world.plane.deploy(1, { ...on(['east', 50], ['west', 50]), replicas: 2 });
    await inBoth((woken) => expect(woken).toEqual(['east,west']));
    forget();
    await world.passes(1);
    await inBoth((woken) => expect(woken).toContain('east,west'));
  });

  test('what is about no deployment may concern any cluster', async () => {
    await world.plane.deploy(1, on(['east', 50]));
    await inBoth((woken) => expect(woken.at(-1)).toBe('east'));
    forget();
    await world.db.database.write(LOOP, (tx) => {
      record(tx, draft(1, 1, { teamId: null, deploymentId: null }));
      return Promise.resolve();
    });
    await inBoth((woken) => expect(woken.at(-1)).toBe('any'));
  });

  test('a notice that machines will be taken away is told as such, to every instance, and nothing else is', async () => {
    await world.plane.deploy(1, on(['east', 50]));
    await inBoth((woken) => expect(woken.at(-1)).toBe('east'));
    expect([here, there].map((instance) => instance.isInterrupted())).toEqual([false, false]);
    await world.db.database.write(LOOP, (tx) => {
      record(tx, draft(1, 1, { teamId: null, deploymentId: null, type: 'node.interrupted' }));
      return Promise.resolve();
    });
    await eventually(() => expect([here, there].map((instance) => instance.isInterrupted())).toEqual([true, true]));
  });
});
