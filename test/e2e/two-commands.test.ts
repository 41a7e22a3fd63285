// Starts the built product as a user does, on free ports and a folder of its own, and looks at it from outside only.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startInstallation, type Installation } from '../support/installation.ts';

const root = join(import.meta.dirname, '..', '..');
/** Debian's `nobody`: a user that exists everywhere and owns nothing. */
const ORDINARY_UID = 65_534;
let purser: Installation;

beforeAll(async () => {
  purser = await startInstallation();
});
afterAll(() => purser.remove());

/** The shell commands that the start printed, by the word that they contain. */
function printedCommand(word: string): string {
  const commands = purser.printed
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line.trim().startsWith('curl'));
  return commands.find((line) => line.includes(word))!.trim();
}

describe('Two commands: npm start', () => {
  test('prints what the requests cost, and the model answered right', () => {
    expect(purser.printed).toMatch(/example\/demo\/digits answered 5 requests, 5 of them right/);
    expect(purser.printed).toMatch(/They cost \$0\.\d+/);
  });

  test('the admin token is in a file that only its owner can read', () => {
    expect(statSync(join(purser.dataDir, 'admin-token')).mode & 0o777).toBe(0o600);
    expect(purser.adminToken).toMatch(/^purser_admin_/);
  });

  test('the printed line for inference works in a shell', () => {
    const answer = JSON.parse(execFileSync('sh', ['-c', printedCommand('/infer')], { encoding: 'utf8' })) as {
      outputs: unknown[];
    };
    expect(answer.outputs.length).toBeGreaterThan(0);
  });

  test('the printed line for GraphQL works in a shell', () => {
    const answer = execFileSync('sh', ['-c', printedCommand('/graphql')], { encoding: 'utf8' });
    expect(JSON.parse(answer)).toMatchObject({
      data: { deployments: { nodes: [{ path: 'example/demo/digits', status: { phase: 'READY' } }] } },
    });
  });

  test('a port in use is one clear sentence', () => {
    const second = spawnSync(join(root, 'node_modules/node/bin/node'), [join(root, 'dist/src/main/purser.js'), 'up'], {
      env: { ...purser.env, PURSER_DATA_DIR: `${purser.dataDir}-second` },
      encoding: 'utf8',
    });
    expect(second.status).toBe(1);
    expect(second.stderr.trim()).toMatch(
      /^purser: Port \d+ for the API is in use: stop what listens there or set PURSER_PORT to another port\.$/,
    );
  });

  test('no request fails while the control plane is killed', async () => {
    const body = readFileSync(join(root, 'deploy/example/digits/cases.json'), 'utf8');
    const [example] = JSON.parse(body) as { input: number[] }[];
    const request = { inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 64], data: example!.input }] };
    const before = purser.pidOf('serve');
    const statuses: number[] = [];
    for (let i = 0; i < 200; i += 1) {
      if (i === 50) process.kill(before, 'SIGKILL');
      const response = await fetch(`${purser.routerUrl}/example/demo/digits/v2/models/digits/infer`, {
        method: 'POST',
        headers: { authorization: `Bearer ${purser.adminToken}`, 'content-type': 'application/json' },
        body: JSON.stringify(request),
      });
      await response.arrayBuffer();
      statuses.push(response.status);
    }
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
  });

  test.skipIf(process.getuid?.() !== 0)('an ordinary user can start another copy beside it', async () => {
    const other = await startInstallation({ uid: ORDINARY_UID });
    expect(other.printed).toMatch(/5 of them right/);
    await other.remove();
  });

  test('Ctrl-C stops everything, and the next start goes on where it was', async () => {
    expect(await purser.stop()).toBe(0);
    purser = await startInstallation({ like: purser });
    expect(purser.printed).toMatch(/5 of them right/);
  });
});
