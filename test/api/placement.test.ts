// The command line in process against the real API on a test database with the bundled price book.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../clients/cli/exit-codes.ts';
import { systemClock, systemRandom } from '../../src/main/system-clock.ts';
import { startApi, type TestApi } from '../support/api.ts';
import { fleetOf } from '../support/deployments-world.ts';
import { loadPriceBook } from '../support/price-book.ts';
import { openCli, type TestCli } from '../support/cli.ts';

const DIGITS = join(import.meta.dirname, '..', '..', 'deploy', 'example', 'digits', 'digits.onnx');
const SIZE = ['--cpu', '2000', '--memory', '8192'];

let api: TestApi;
let cli: TestCli;

beforeAll(async () => {
  api = await startApi();
  const deps = { database: api.db.database, clock: systemClock, random: systemRandom };
  await loadPriceBook(deps);
  await deps.database.write({ kind: 'reconciler', loop: 'test' }, (tx) =>
    fleetOf(deps).ensureLocalCluster(tx, { machineId: 'machine' }),
  );
  cli = openCli({ PURSER_URL: api.url, PURSER_TOKEN: api.adminToken });
  await cli.json('teams', 'create', 'crew');
  await cli.json('projects', 'create', 'crew/deck');
  await cli.json('models', 'register', 'crew/deck/vision');
  await cli.json('versions', 'register', 'crew/deck/vision', '--onnx', DIGITS, ...SIZE, '--gpu', 'any:8');
});
afterAll(async () => {
  cli.close();
  await api.close();
});

describe('Placement: on the command line', () => {
  test('purser plan shows a priced table over three clouds with why the others lost, and changes nothing', async () => {
    const { code, stdout } = await cli.run(['plan', 'crew/deck/vision', '--region', 'aws/*', 'azure/*', 'gcp/*']);
    expect(code).toBe(EXIT.OK);
    for (const cloud of ['aws ', 'azure ', 'gcp ']) expect(stdout).toContain(cloud);
    expect(stdout).toMatch(/\* +\w+ [^\n]* \$[0-9.]+ +\$[0-9.]+ +\$[0-9.]+ +chosen/);
    expect(stdout).toMatch(/ DEARER$/m);
    expect(stdout).toMatch(/^The price of the chosen one is from \S+@\d{4}-\d{2}-\d{2}\.$/m);
    expect(stdout).toMatch(/^1 on local\/default: what is there, priced as \w+\/\S+, \$[0-9.]+ per hour$/m);
    expect(stdout).toContain('\nRisk: Nobody says whether local/default has the accelerator: it is only priced as if it had.\n');
    expect(stdout).toMatch(/wins (below [0-9.]+ USD per hour|at [0-9.]+ USD per hour or less)/);
    expect((await cli.run(['describe', 'crew/deck/vision'])).code).toBe(EXIT.NOT_FOUND);
  });

  test('what cannot be had together is named, and the table is shown all the same', async () => {
    const { code, stderr } = await cli.run([
      ...['plan', 'crew/deck/vision', '--region', 'aws/us-*', '--residency', '*/eu-*', '--zones', '1'],
    ]);
    expect(code).not.toBe(EXIT.OK);
    expect(stderr).toMatch(/residency and regions/);
    expect(stderr).toMatch(/RESIDENCY: aws\/us-/);
  });

  test('purser why tells what was chosen, its cost part by part, what lost and what happened since', async () => {
    await cli.json('deploy', 'crew/deck/vision', '--region', 'aws/*', 'azure/*', 'gcp/*');
    const { code, stdout } = await cli.run(['why', 'crew/deck/vision']);
    expect(code).toBe(EXIT.OK);
    expect(stdout).toMatch(/machines \$[0-9.]+ \+ egress \$0\.00 \+ interruptions \$0\.00 \+ moving \$0\.00/);
    expect(stdout.match(/: It costs (the same;|[0-9.]+ USD per hour more than the chosen one\.)/g)?.length).toBe(3);
    expect(stdout).toMatch(/Did not fit:\n {2}[A-Z_]+ \d+/);
    expect(stdout).toMatch(/Happened since then:\n.*deployment\.created/);
  });

  test('purser plan for requests per second compares accelerators by what their replicas cost together', async () => {
    await cli.json('models', 'register', 'crew/deck/rated');
    await cli.json(
      'versions',
      'register',
      'crew/deck/rated',
      '--onnx',
      DIGITS,
      ...SIZE,
      '--gpu',
      'any:8',
      '--carries',
      'T4=4',
      'L4=9.5',
    );
    const clouds = ['--region', 'aws/*', 'azure/*', 'gcp/*', '--max-spend-per-hour', '100'];
    const asked = ['plan', 'crew/deck/rated', ...clouds, '--requests-per-second', '19'];
    const guessed = await cli.run(asked);
    expect(guessed.stderr).toMatch(/pools do not say that they have an accelerator/);
    const { stdout } = await cli.run([...asked, ...SIZE, '--gpu', 'L4:8']);
    expect(stdout).toContain('19 requests per second take 2 replicas on L4: one carries 9.5, as version 1 says.');
    expect((await cli.run([...asked, '--replicas', '2'])).stderr).toMatch(/replicas or requestsPerSecond, not both/);
    expect((await cli.run(['plan', 'crew/deck/rated', '--requests-per-second', 'many'])).code).toBe(EXIT.USAGE);
    expect((await cli.run(['plan', 'crew/deck/vision', '--requests-per-second', '1'])).stderr).toMatch(
      /does not say what one replica/,
    );
  });

  test('purser plan --place-anew asks for the cheapest place though nothing else is asked for, and says how to go there', async () => {
    const { code, stdout } = await cli.run(['plan', 'crew/deck/vision', '--place-anew']);
    expect(code).toBe(EXIT.OK);
    expect(stdout).toMatch(/Next: purser deploy crew\/deck\/vision --place-anew --plan-hash sha256:/);
  });

  test('purser plan --all shows what everything would come to together, beside what it costs', async () => {
    const args = ['plan', '--all', 'crew/deck', '--exact'];
    const { code, stdout } = await cli.run(args);
    expect(code).toBe(EXIT.OK);
    expect(stdout).toMatch(/crew\/deck\/vision +1 +\w+\//);
    expect(stdout).toMatch(/Together \$[0-9.]+ per hour \(\w+\); as it is, .* \$[0-9.]+\./);
    expect(stdout).toMatch(/No plan that seats everybody on these offerings, .* costs less than \$[0-9.]+\./);
    expect((await cli.run(['plan', '--all', 'crew/nothing'])).code).toBe(EXIT.NOT_FOUND);
    expect((await cli.run(['plan'])).code).toBe(EXIT.USAGE);
  });
});
