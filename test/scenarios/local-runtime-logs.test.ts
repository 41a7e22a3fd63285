// A real replica that talks more than one log file holds, and a log whose clock goes back.
import { appendFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { ReplicaLog } from '../../src/local/replica-log.ts';
import { eventually } from '../support/eventually.ts';
import { httpCommand, processRuntime, startTestRuntime, workload } from '../support/local-runtime.ts';

const opened: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0).reverse()) await one.close();
});

describe('Local runtime: logs', () => {
  test('a replica that writes more than one file holds is read on across the turn, line by line', async () => {
    const runtime = await startTestRuntime();
    opened.push(runtime);
    const { cluster, dataDir } = runtime;
    const LINES = 90_000;
    const AT_ONCE = 3_000;
    // It writes only while it is asked: what is written during the turn itself may be lost.
    const body = `let n = 0; http.createServer((q, s) => {
      const some = q.url === '/talk' ? Array.from({ length: ${AT_ONCE} }, () => String(n++).padEnd(120, '.') + '\\n') : [];
      require('node:fs').writeSync(1, some.join('')); s.end();
    }).listen(process.env.PORT, '127.0.0.1');`;
    await cluster.apply(workload(processRuntime(httpCommand(body))), { epoch: 1 });
    const talker = await eventually(
      async () => (await cluster.observe()).replicas.find(({ state }) => state === 'serving') ?? false,
      20_000,
    );
    const seen: number[] = [];
    let cursor = '0-0';
    const read = async (): Promise<void> => {
      const page = await cluster.logs(talker.replicaId, { cursor, limit: 10_000 });
      cursor = page.cursor;
      seen.push(...page.lines.map(({ text }) => parseInt(text, 10)));
    };
    for (let asked = 0; asked < LINES; asked += AT_ONCE) {
      await (await fetch(`http://${talker.address ?? ''}/talk`)).text();
      await read();
    }
    await eventually(async () => {
      await read();
      return seen.at(-1) === LINES - 1;
    }, 30_000);
    expect(seen).toEqual(Array.from({ length: LINES }, (_, n) => n));
    expect(readdirSync(join(dataDir, 'runtime', 'logs', talker.replicaId))).toContain('stdout.log.1');
  });

  test('a clock that goes back neither reorders lines nor repeats them', () => {
    const folder = mkdtempSync(join(tmpdir(), 'purser-log-'));
    opened.push({ close: () => rmSync(folder, { recursive: true }) });
    const log = new ReplicaLog(folder);
    const out = join(folder, 'stdout.log');
    appendFileSync(out, 'first\n');
    log.watch(2_000);
    appendFileSync(out, 'second\n');
    const page = log.page({ cursor: '0-0', limit: 10 }, 1_000);
    expect(page.lines.map(({ text }) => text)).toEqual(['first', 'second']);
    expect(log.page({ cursor: page.cursor, limit: 10 }, 1_000).lines).toEqual([]);
  });
});
