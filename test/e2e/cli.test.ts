// The built command `node_modules/.bin/purser` as a user runs it, one process per command, against a whole installation.
import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../clients/cli/exit-codes.ts';
import { packageRoot } from '../../src/main/package-root.ts';
import { eventually } from '../support/eventually.ts';
import { startInstallation, type Installation } from '../support/installation.ts';

const COMMAND = join(packageRoot, 'node_modules', '.bin', 'purser');
const EXAMPLE = join(packageRoot, 'deploy', 'example', 'digits');

let purser: Installation;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'purser-cli-e2e-'));
  const [example] = JSON.parse(readFileSync(join(EXAMPLE, 'cases.json'), 'utf8')) as { input: number[] }[];
  const body = { inputs: [{ name: 'pixels', datatype: 'FP32', shape: [1, 64], data: example?.input }] };
  writeFileSync(join(folder, 'input.json'), JSON.stringify(body));
  purser = await startInstallation();
});
afterAll(async () => {
  await purser.remove();
  rmSync(folder, { recursive: true, force: true });
});

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(...args: string[]): Promise<Ran> {
  const env = { ...purser.env, PURSER_CONFIG: join(folder, 'contexts.json') };
  try {
    return { code: 0, ...(await promisify(execFile)(COMMAND, args, { env })) };
  } catch (error) {
    return error as Ran;
  }
}

async function json<T>(...args: string[]): Promise<T> {
  const { stdout, stderr } = await run(...args, '--json');
  expect(stderr).toBe('');
  return JSON.parse(stdout) as T;
}

interface Plan {
  readonly hash: string;
  readonly candidates: readonly { readonly chosen: boolean; readonly rejectedBecause: { readonly code: string } | null }[];
}

describe('CLI on an installation', () => {
  test('deploy --plan prints the candidates with the reason why the others lost, and changes nothing', async () => {
    const { stdout } = await run('deploy', 'example/demo/second', '--model', 'digits', '--plan');
    expect(stdout).toMatch(/^- Create the deployment example\/demo\/second/);
    expect(stdout).toMatch(/^\* +aws \S+ +us-east-1 +on_demand +\$0\.\d+ +\$\d+\.\d+ +\$0\.\d+ +chosen/m);
    expect(stdout).toMatch(/^ +aws \S+ .* DEARER$/m);
    expect(stdout).toMatch(/ARCHITECTURE: It is arm64; the model runs on amd64\./);
    expect(stdout).toMatch(
      /^1 on local\/default: what is there, priced as aws\/us-east-1\/-\/\S+\/on_demand, \$0\.\d+ per hour$/m,
    );
    expect(stdout).toMatch(/^Next: purser deploy example\/demo\/second --model digits --plan-hash sha256:\S+ --wait$/m);
    expect((await run('describe', 'example/demo/second')).code).toBe(EXIT.NOT_FOUND);
  });

  test('the plan is run by its hash and waited for; a changed wish is refused under that hash', async () => {
    const wish = ['deploy', 'example/demo/second', '--model', 'digits'];
    const { hash, candidates } = await json<Plan>(...wish, '--plan');
    expect(candidates.filter((candidate) => candidate.chosen)).toHaveLength(1);
    expect(candidates.every((candidate) => candidate.chosen || candidate.rejectedBecause !== null)).toBe(true);
    const other = await run(...wish, '--replicas', '2', '--plan-hash', hash);
    expect(other).toMatchObject({ code: EXIT.REFUSED, stdout: '' });
    expect(other.stderr).toMatch(/^CONFLICT/);
    const done = await run(...wish, '--plan-hash', hash, '--wait');
    expect(done).toMatchObject({ code: EXIT.OK });
    expect(done.stdout).toContain(`example/demo/second is ready at ${purser.routerUrl}/example/demo/second`);
  });

  test('get and describe: what it is, why, what happened and what to do next', async () => {
    expect((await run('get')).stdout).toMatch(/^example\/demo\/second +READY +example\/demo\/digits 1 +1 +1\/1 +\$\d/m);
    const { stdout } = await run('describe', 'example/demo/second');
    for (const part of ['Conditions', 'Replicas', 'Decisions', 'Events']) expect(stdout).toContain(`\n${part}\n`);
    expect(stdout).toMatch(/deployment\.phase_changed +Deployment example\/demo\/second is READY/);
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('Next: purser infer example/demo/second --input FILE.json');
  });

  test('infer answers on standard output and tells the cost beside it', async () => {
    const plain = await run('infer', 'example/demo/second', '--input', join(folder, 'input.json'));
    expect(JSON.parse(plain.stdout)).toMatchObject({ model_name: 'second' });
    expect(plain.stderr).toMatch(/^request \S+, revision 1, cost \$0\.\d+\n$/);
    const answer = await json<{ cost: string }>('infer', 'example/demo/second', '--input', join(folder, 'input.json'));
    expect(answer.cost).toMatch(/^0\.\d+$/);
  });

  test('costs, logs and events show what the requests led to', async () => {
    await eventually(async () => {
      const { rows } = await json<{ rows: { requests: number }[] }>(
        'costs',
        '--since',
        '1h',
        '--deployment',
        'example/demo/second',
      );
      expect(rows[0]?.requests).toBe(2);
    }, 30_000);
    const [replica] = await json<{ logs: { lines: { text: string }[] } }[]>('logs', 'example/demo/second');
    expect(replica?.logs.lines.some(({ text }) => text.includes('serving'))).toBe(true);
    expect((await run('logs', 'example/demo/second')).stdout).toMatch(/^== \S+ \(revision 1\)\n\S+Z .*serving/);
    const { events } = await json<{ events: { type: string }[] }>(
      'events',
      '--deployment',
      'example/demo/second',
      '--last',
      '100',
    );
    expect(events.map((event) => event.type)).toContain('rollout.finished');
  });

  test('a second revision, and back to the first', async () => {
    expect((await run('deploy', 'example/demo/second', '--model', 'digits', '--concurrency', '2', '--wait')).code).toBe(EXIT.OK);
    expect(await json('rollback', 'example/demo/second')).toEqual({
      path: 'example/demo/second',
      generation: 3,
      reasons: ['Back to revision 1 by request.'],
    });
    await eventually(async () => {
      expect(await json('describe', 'example/demo/second')).toMatchObject({
        status: { phase: 'READY' },
        traffic: { weights: [{ revision: 1, weight: 100 }] },
      });
    }, 60_000);
  });

  test('--wait ends with its own exit code when the time is over', async () => {
    const late = await run(
      'deploy',
      'example/demo/second',
      '--model',
      'digits',
      '--concurrency',
      '3',
      '--wait',
      '--timeout',
      '0',
    );
    expect(late).toMatchObject({ code: EXIT.NOT_READY, stdout: '' });
  });

  test('scale and delete can be planned first', async () => {
    for (const change of ['scale example/demo/second --replicas 2', 'delete example/demo/second']) {
      const { code, stdout, stderr } = await run(...change.split(' '), '--plan');
      expect({ code, stderr }, change).toEqual({ code: EXIT.OK, stderr: '' });
      expect(stdout, change).toMatch(
        /^- .+example\/demo\/second.+\n[^]*^Cost: [+-]\$.+\n[^]*^Next: the same command with --plan-hash sha256:/m,
      );
    }
    const { hash } = await json<Plan>('scale', 'example/demo/second', '--replicas', '2', '--plan');
    const wrong = await run('scale', 'example/demo/second', '--replicas', '3', '--plan-hash', hash);
    expect(wrong).toMatchObject({ code: EXIT.REFUSED, stdout: '' });
    expect((await run('scale', 'example/demo/second', '--replicas', '2', '--plan-hash', hash)).code).toBe(EXIT.OK);
  });

  test('delete: it goes, its costs stay', async () => {
    expect(await json('delete', 'example/demo/second')).toMatchObject({
      path: 'example/demo/second',
      reasons: ['Deleted by request.'],
    });
    await eventually(async () => expect((await run('get')).stdout).not.toContain('example/demo/second'), 60_000);
    expect((await run('costs', '--by', 'deployment')).stdout).toContain('example/demo/second');
  });

  test('a reader that has seen enough ends a command without a word', async () => {
    const env = { ...purser.env, PURSER_CONFIG: join(folder, 'contexts.json') };
    const pipe = (line: string) => promisify(execFile)('bash', ['-o', 'pipefail', '-c', line], { env });
    const listed = await pipe(`"${COMMAND}" events --last 100 --json | head -c 20`);
    expect(listed).toEqual({ stdout: '{"events":[{"cursor"', stderr: '' });
    const state = { ended: false };
    const followed = pipe(`"${COMMAND}" events --follow --last 1 | head -1`).finally(() => (state.ended = true));
    // A pipe tells that nobody reads any more when the next event is written.
    await eventually(async () => {
      expect((await run('teams', 'create', `told-${String(Date.now())}`)).code).toBe(EXIT.OK);
      expect(state.ended).toBe(true);
    }, 60_000);
    expect((await followed).stderr).toBe('');
  });

  test('a follower goes on across a killed control plane: nothing lost, nothing twice', async () => {
    const [{ cursor } = { cursor: '' }] = (await json<{ events: { cursor: string }[] }>('events', '--last', '1')).events;
    const env = { ...purser.env, PURSER_CONFIG: join(folder, 'contexts.json') };
    const follower = spawn(COMMAND, ['events', '--follow', '--after', cursor, '--json'], { env });
    let printed = '';
    let told = '';
    follower.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    follower.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => follower.once('exit', resolve));
    const cursors = () =>
      printed
        .split('\n')
        .slice(0, -1)
        .map((line) => (JSON.parse(line) as { cursor: string }).cursor);
    for (const round of [1, 2, 3]) {
      const killed = purser.pidOf('serve');
      expect((await run('teams', 'create', `before-${round}`)).code).toBe(EXIT.OK);
      process.kill(killed, 'SIGKILL');
      await eventually(async () => expect((await run('teams', 'create', `after-${round}`)).code).toBe(EXIT.OK), 60_000);
      await eventually(() => expect(printed).toContain(`Team after-${round} was created.`), 60_000);
    }
    const { events } = await json<{ events: { cursor: string }[] }>('events', '--after', cursor);
    await eventually(() => expect(cursors()).toEqual(expect.arrayContaining(events.map((event) => event.cursor))));
    expect(cursors()).toHaveLength(new Set(cursors()).size);
    expect(cursors().slice(0, events.length)).toEqual(events.map((event) => event.cursor));
    follower.kill('SIGINT');
    expect(await ended).toBe(0);
    expect(printed + told).not.toContain(purser.adminToken);
  });

  test('no command prints the token that it uses, or passes it on as an argument', async () => {
    const login = await run(
      'login',
      '--url',
      purser.apiUrl,
      '--token-file',
      join(purser.dataDir, 'admin-token'),
      '--name',
      'here',
    );
    expect(login).toMatchObject({ code: EXIT.OK, stderr: '' });
    expect(statSync(join(folder, 'contexts.json')).mode & 0o777).toBe(0o600);
    const commands = [
      'whoami',
      'context list',
      'models',
      'get',
      'describe example/demo/digits',
      'tokens',
      'principals',
      'events',
      'logs example/demo/digits',
      'get --context nowhere',
      'logout',
    ];
    for (const command of commands) {
      const { stdout, stderr } = await run(...command.split(' '));
      expect(stdout + stderr, command).not.toContain(purser.adminToken);
    }
    const follower = spawn(COMMAND, ['events', '--follow'], { env: purser.env, stdio: 'ignore' });
    await eventually(() => expect(readFileSync(`/proc/${String(follower.pid)}/cmdline`, 'utf8')).toContain('--follow'));
    expect(readFileSync(`/proc/${String(follower.pid)}/cmdline`, 'utf8')).not.toContain(purser.adminToken);
    follower.kill('SIGINT');
  });

  test('nobody there has an exit code of its own', async () => {
    const env = { ...purser.env, PURSER_URL: 'http://127.0.0.1:9', PURSER_TOKEN: 'x' };
    const outcome = await promisify(execFile)(COMMAND, ['get'], { env }).catch((error: unknown) => error as Ran);
    expect(outcome).toMatchObject({ code: EXIT.UNAVAILABLE });
  });
});
