// The real command line in process against the real API on a test database: exit codes, documents, contexts, files and streams.
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runCli } from '../../clients/cli/cli.ts';
import { EXIT, EXIT_MEANINGS, type ExitCode } from '../../clients/cli/exit-codes.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { startBreakableProxy } from '../support/breakable-proxy.ts';
import { openCli, type TestCli } from '../support/cli.ts';
import { eventually } from '../support/eventually.ts';

const DIGITS = join(import.meta.dirname, '..', '..', 'deploy', 'example', 'digits', 'digits.onnx');

let api: TestApi;
let admin: TestCli;

beforeAll(async () => {
  api = await startApi();
  admin = openCli({ PURSER_URL: api.url, PURSER_TOKEN: api.adminToken });
});
afterAll(async () => {
  admin.close();
  await api.close();
});

describe('CLI: contexts and login', () => {
  test('a checked token is kept as a context in a file that only its owner can read', async () => {
    const cli = openCli();
    writeFileSync(join(cli.folder, 'token'), `${api.adminToken}\n`, { mode: 0o600 });
    const login = await cli.run(['login', '--url', api.url, '--token-file', join(cli.folder, 'token'), '--name', 'here']);
    expect(login).toEqual({ code: EXIT.OK, stdout: 'Signed in as admin (context here).\n', stderr: '' });
    expect(statSync(cli.contextFile).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(cli.contextFile)).mode & 0o777).toBe(0o700);
    expect(await cli.json('context', 'list')).toEqual([{ name: 'here', url: api.url, current: true }]);
    expect(await cli.json('whoami')).toMatchObject({ principal: { name: 'admin' } });
    expect((await cli.run(['whoami', '--context', 'elsewhere'])).code).toBe(EXIT.UNAUTHENTICATED);
    expect((await cli.run(['logout'])).code).toBe(EXIT.OK);
    expect((await cli.run(['whoami'])).code).toBe(EXIT.UNAUTHENTICATED);
    cli.close();
  });

  test('folder and file are closed to others even where they were open before', async () => {
    const cli = openCli();
    const home = join(cli.folder, 'home');
    mkdirSync(join(home, 'purser'), { recursive: true, mode: 0o755 });
    writeFileSync(join(home, 'purser', 'contexts.json'), '{"current":null,"contexts":{}}', { mode: 0o644 });
    writeFileSync(join(home, 'purser', 'contexts.json.new'), 'left over', { mode: 0o666 });
    writeFileSync(join(cli.folder, 'token'), api.adminToken, { mode: 0o600 });
    const code = await runCli(['login', '--url', api.url, '--token-file', join(cli.folder, 'token')], {
      env: { XDG_CONFIG_HOME: home },
      write: () => undefined,
      writeError: () => undefined,
      stopped: () => new AbortController().signal,
    });
    expect(code).toBe(EXIT.OK);
    expect(statSync(join(home, 'purser')).mode & 0o777).toBe(0o700);
    expect(statSync(join(home, 'purser', 'contexts.json')).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(home, 'purser'))).toEqual(['contexts.json']);
    cli.close();
  });

  test('a token that the API does not know is not kept', async () => {
    const cli = openCli();
    writeFileSync(join(cli.folder, 'token'), 'purser_admin_wrong');
    const login = await cli.run(['login', '--url', api.url, '--token-file', join(cli.folder, 'token')]);
    expect(login).toMatchObject({ code: EXIT.UNAUTHENTICATED, stdout: '' });
    expect(await cli.json('context', 'list')).toEqual([]);
    cli.close();
  });
});

describe('CLI: a model from nothing to a priced plan', () => {
  test('every step answers with one JSON document', async () => {
    await admin.json('teams', 'create', 'crew');
    expect(await admin.json('projects', 'create', 'crew/deck')).toMatchObject({ path: 'crew/deck' });
    expect(await admin.json('models', 'register', 'crew/deck/digits')).toEqual({ path: 'crew/deck/digits' });
    const version = [
      'versions',
      'register',
      'crew/deck/digits',
      '--onnx',
      DIGITS,
      '--cpu',
      '250',
      '--memory',
      '256',
      '--run-id',
      'run-7',
    ];
    expect(await admin.json(...version)).toMatchObject({ number: 1, signature: { inputs: [{ name: 'pixels' }] } });
    expect(await admin.json('aliases', 'set', 'crew/deck/digits', 'best', '1')).toEqual({ name: 'best', version: { number: 1 } });
    expect(await admin.json('aliases', 'crew/deck/digits')).toMatchObject([
      { name: 'best', history: [{ version: { number: 1 } }] },
    ]);
    expect(await admin.json('versions', 'crew/deck/digits')).toMatchObject([{ number: 1, lineage: { runId: 'run-7' } }]);
    expect(await admin.json('models')).toMatchObject([{ path: 'crew/deck/digits' }]);
  });

  test('what is called like a command is not taken for one', async () => {
    expect(await admin.json('teams', 'create', 'events')).toMatchObject({ name: 'events' });
    const cli = openCli({ PURSER_URL: api.url, PURSER_TOKEN: api.adminToken });
    expect(await cli.run(['--context', 'login', 'get'])).toMatchObject({ code: EXIT.UNAUTHENTICATED });
    cli.close();
  });

  test('lists are for people too, and say what comes next', async () => {
    expect((await admin.run(['models'])).stdout).toMatch(
      /^MODEL +LATEST +FORMAT +ALIASES\ncrew\/deck\/digits +1 +ONNX +best=1\n$/,
    );
    expect((await admin.run(['models', 'register', 'crew/deck/other'])).stdout).toContain(
      'Next: purser versions register crew/deck/other --onnx FILE.onnx',
    );
  });

  test('a token is made, works, is revoked and works no more', async () => {
    const { id: principal } = await admin.json<{ id: string }>(
      'principals',
      'create',
      'robot',
      '--role',
      'viewer',
      '--on',
      'crew/deck',
    );
    const { id, secret } = await admin.json<{ id: string; secret: string }>(
      'tokens',
      'create',
      'robot-token',
      '--principal',
      principal,
    );
    const robot = openCli({ PURSER_URL: api.url, PURSER_TOKEN: secret });
    expect(await robot.json('models')).toHaveLength(2);
    expect((await robot.run(['models', 'register', 'crew/deck/mine'])).code).toBe(EXIT.NOT_FOUND);
    await admin.json('tokens', 'revoke', id);
    expect((await robot.run(['models'])).code).toBe(EXIT.UNAUTHENTICATED);
    robot.close();
  });

  test('every list is whole, however many pages it has', async () => {
    const projects = Array.from({ length: 105 }, (_, n) => `pages/p${String(n).padStart(3, '0')}`);
    await admin.json('teams', 'create', 'pages');
    await Promise.all(projects.map((path) => admin.json('projects', 'create', path)));
    await Promise.all(Array.from({ length: 22 }, (_, n) => admin.json('teams', 'create', `team-${n}`)));
    const teams = await admin.json<{ name: string; projects: { nodes: { path: string }[] } }[]>('teams');
    expect(teams.map(({ name }) => name)).toEqual(expect.arrayContaining(['pages', 'team-0', 'team-21']));
    expect(teams.find(({ name }) => name === 'pages')?.projects.nodes.map(({ path }) => path)).toEqual(projects);
  });

  test('every list is one JSON document with --json, and a table without', async () => {
    for (const command of ['teams', 'projects', 'principals', 'tokens', 'models', 'get', 'context']) {
      expect(await admin.json(command), command).toBeInstanceOf(Array);
      const { code, stdout } = await admin.run([command]);
      expect(code, command).toBe(EXIT.OK);
      expect(stdout, command).toMatch(/^[A-Z ]+\n/);
    }
  });

  test('costs can be asked in any grouping', async () => {
    const costs = await admin.json<{ total: { amount: string }; rows: unknown[] }>(
      'costs',
      '--since',
      '1h',
      '--by',
      'owner_team,model',
      '--step',
      'hour',
    );
    expect(costs).toMatchObject({ total: { amount: '0' }, rows: [] });
  });
});

describe('CLI: documented exit codes', () => {
  const rows: readonly (readonly [string, readonly string[], ExitCode, RegExp])[] = [
    ['an unknown command', ['sail'], EXIT.USAGE, /unknown command/],
    ['an unknown option', ['get', '--fast'], EXIT.USAGE, /unknown option/],
    ['a missing argument', ['describe'], EXIT.USAGE, /missing required argument/],
    ['a path that is none', ['deploy', 'digits'], EXIT.USAGE, /team\/project\/name/],
    ['a number that is none', ['deploy', 'crew/deck/digits', '--replicas', 'many'], EXIT.USAGE, /whole number/],
    ['an object that is none', ['deploy', 'crew/deck/digits', '--adopt', 'web'], EXIT.USAGE, /NAMESPACE\/NAME/],
    ['a dimension that is none', ['costs', '--by', 'weather'], EXIT.USAGE, /must be one of/],
    [
      'a file that is not there',
      ['infer', 'crew/deck/digits', '--input', '/nonexistent.json'],
      EXIT.USAGE,
      /cannot be read: ENOENT/,
    ],
    ['a name that is taken', ['teams', 'create', 'crew'], EXIT.REFUSED, /^ALREADY_EXISTS/],
    ['a name that is none', ['teams', 'create', 'No Name'], EXIT.REFUSED, /^INVALID_INPUT/],
    ['a model that is not there', ['versions', 'crew/deck/nothing'], EXIT.NOT_FOUND, /No such model/],
    ['a deployment that is not there', ['describe', 'crew/deck/nothing'], EXIT.NOT_FOUND, /No such deployment/],
    ['a deletion of nothing', ['delete', 'crew/deck/nothing'], EXIT.NOT_FOUND, /^NOT_FOUND/],
    ['logs of nothing', ['logs', 'crew/deck/nothing'], EXIT.NOT_FOUND, /No such deployment/],
  ];
  test.each(rows)('%s', async (_name, args, code, message) => {
    const ran = await admin.run(args);
    expect(ran.stderr).toMatch(message);
    expect(ran).toMatchObject({ code, stdout: '' });
  });

  test('nobody there, an unknown token, no context at all', async () => {
    const away = openCli({ PURSER_URL: 'http://127.0.0.1:9', PURSER_TOKEN: 'x' });
    const unknown = openCli({ PURSER_URL: api.url, PURSER_TOKEN: 'purser_admin_wrong' });
    const nobody = openCli();
    expect((await away.run(['get'])).code).toBe(EXIT.UNAVAILABLE);
    expect((await unknown.run(['get'])).code).toBe(EXIT.UNAUTHENTICATED);
    expect((await nobody.run(['get'])).code).toBe(EXIT.UNAUTHENTICATED);
    for (const cli of [away, unknown, nobody]) cli.close();
  });

  test('a help for each is done, and the table is in the help', async () => {
    const { code, stdout: all } = await admin.run(['help']);
    expect(code).toBe(EXIT.OK);
    const commands = [...(all.split('Commands:')[1]?.split('Processes')[0] ?? '').matchAll(/^ {2}([a-z]+)/gm)].map(
      ([, name]) => name!,
    );
    for (const command of [
      'models',
      'versions',
      'deploy',
      'get',
      'describe',
      'infer',
      'costs',
      'events',
      'logs',
      'rollback',
      'delete',
    ])
      expect(commands).toContain(command);
    for (const command of commands.filter((name) => name !== 'help')) {
      const help = await admin.run([command, '--help']);
      expect(help, command).toMatchObject({ code: EXIT.OK, stderr: '' });
      expect(help.stdout, command).toMatch(new RegExp(`^Usage: purser ${command}[^]*--json `));
      expect((await admin.run(['help', command])).stdout).toBe(help.stdout);
    }
    const version = await admin.run(['--version']);
    expect(version.code).toBe(EXIT.OK);
    expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    const { stdout } = await admin.run(['help', 'exit-codes']);
    for (const [code, meaning] of Object.entries(EXIT_MEANINGS)) expect(stdout).toContain(`${code}  ${meaning}`);
  });
});

describe('CLI: events without loss', () => {
  test('a follower goes on behind the last event when the server comes back: nothing lost, nothing twice', async () => {
    const proxy = await startBreakableProxy(api.url);
    const cli = openCli({ PURSER_URL: proxy.url, PURSER_TOKEN: api.adminToken });
    const { cursor } = await admin.json<{ cursor: string }>('events', '--last', '1');
    const stop = new AbortController();
    let printed = '';
    const following = cli.run(['events', '--follow', '--after', cursor, '--json', '--type', 'team.created'], {
      stopped: stop.signal,
      onOutput: (text) => void (printed += text),
    });
    const seen = () =>
      printed
        .split('\n')
        .filter(Boolean)
        .map((line) => (JSON.parse(line) as { message: string }).message);
    await admin.json('teams', 'create', 'before');
    await eventually(() => expect(seen()).toEqual(['Team before was created.']));
    await proxy.goAway();
    for (const name of ['while-1', 'while-2', 'while-3']) await admin.json('teams', 'create', name);
    await proxy.comeBack();
    await admin.json('teams', 'create', 'after');
    await eventually(() => expect(seen()).toHaveLength(5));
    stop.abort();
    expect(await following).toMatchObject({ code: EXIT.OK });
    expect(seen()).toEqual(['before', 'while-1', 'while-2', 'while-3', 'after'].map((name) => `Team ${name} was created.`));
    expect(proxy.connections()).toBeGreaterThan(1);
    await proxy.goAway();
    cli.close();
  });

  test('a follower whose token is revoked ends and says so', async () => {
    const { id: principal } = await admin.json<{ id: string }>(
      'principals',
      'create',
      'watcher',
      '--role',
      'viewer',
      '--on',
      'crew/deck',
    );
    const { id, secret } = await admin.json<{ id: string; secret: string }>(
      'tokens',
      'create',
      'watch',
      '--principal',
      principal,
    );
    const cli = openCli({ PURSER_URL: api.url, PURSER_TOKEN: secret });
    let printed = '';
    const following = cli.run(['events', '--follow', '--last', '10'], { onOutput: (text) => void (printed += text) });
    await admin.json('models', 'register', 'crew/deck/watched');
    await eventually(() => expect(printed).toContain('Model crew/deck/watched was registered.'));
    await admin.json('tokens', 'revoke', id);
    const { code, stderr } = await following;
    expect(code).toBe(EXIT.UNAUTHENTICATED);
    expect(stderr).toContain('The token is unknown, expired or revoked.');
    expect(printed + stderr).not.toContain(secret);
    cli.close();
  });
});
