// `npm test`: install, build, then everything that must hold before a change lands. Each check counts as one test; the
// closing line sums them up with vitest's own counts. `node test/gate.mjs NAME…` runs only the named steps. Two at once take turns,
// because they would share caches and results.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inTurn, nodeBinary, prepare, root } from '../deploy/local/prepare.mjs';

const LOCK = join(root, '.purser-gate.lock');
const RESULTS = join(root, 'dist', '.results');
const bin = (...path) => join(root, 'node_modules', ...path);

const check = (name, script, ...args) => ({ name, run: () => checkOnce(name, [script, ...args]) });
const suite = (name, ...args) => ({ name, run: () => vitest(name, args) });

const STEPS = [
  check(
    'types',
    bin('typescript', 'bin', 'tsc'),
    '-p',
    '.',
    '--incremental',
    '--tsBuildInfoFile',
    join(root, 'dist', '.types.tsbuildinfo'),
  ),
  check('types of the dashboard', bin('typescript', 'bin', 'tsc'), '-p', 'clients/dashboard'),
  check(
    'lint',
    bin('eslint', 'bin', 'eslint.js'),
    '.',
    '--max-warnings',
    '0',
    '--cache',
    '--cache-location',
    join(root, 'dist', '.eslintcache'),
  ),
  check(
    'format',
    bin('prettier', 'bin', 'prettier.cjs'),
    '--check',
    '--log-level',
    'warn',
    'src',
    'test',
    'clients',
    'migrations',
  ),
  check(
    'directions',
    bin('dependency-cruiser', 'bin', 'dependency-cruise.mjs'),
    'src',
    'clients',
    '--config',
    '.dependency-cruiser.cjs',
  ),
  suite('unit', '--project', 'unit'),
  suite('system', '--project', 'system'),
];
const EXTRA = [
  suite('browser', '--project', 'e2e'),
  suite('postgres-15', '--project', 'postgres-15'),
  suite('kubernetes', '--project', 'kubernetes'),
];

function checkOnce(name, args) {
  const { status } = spawnSync(nodeBinary(), args, { cwd: root, stdio: 'inherit' });
  return { passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, broken: [], skipped: [] };
}

function vitest(name, args) {
  const file = join(RESULTS, `${name}.json`);
  const command = [
    bin('vitest', 'vitest.mjs'),
    'run',
    ...args,
    '--reporter=default',
    '--reporter=json',
    `--outputFile.json=${file}`,
  ];
  const { status } = spawnSync(nodeBinary(), command, { cwd: root, stdio: 'inherit' });
  if (!existsSync(file)) return { passed: 0, failed: 1, broken: [], skipped: [] };
  const report = JSON.parse(readFileSync(file, 'utf8'));
  const tests = report.testResults.flatMap((result) => result.assertionResults);
  const names = (...wanted) => tests.filter((test) => wanted.includes(test.status)).map((test) => test.fullName);
  // With what it said: what was printed while it ran may be far above the summary.
  const said = (test) => (test.failureMessages?.[0] ?? '').split('\n', 3).join(' ').slice(0, 300);
  const broken = tests.filter((test) => test.status === 'failed').map((test) => `${test.fullName}: ${said(test)}`);
  return {
    passed: names('passed').length,
    // A suite that could not even load fails without a failed test in it.
    failed: broken.length === 0 && status !== 0 ? 1 : broken.length,
    broken,
    skipped: names('pending', 'skipped', 'todo'),
  };
}

async function main(names) {
  await prepare();
  await inTurn(LOCK, 'Another test run works in this clone; waiting for it …', () => runSteps(names));
}

function runSteps(names) {
  const known = [...STEPS, ...EXTRA].map((step) => step.name);
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`There is no step ${unknown.join(', ')}; there are ${known.join(', ')}.`);
  rmSync(RESULTS, { recursive: true, force: true });
  mkdirSync(RESULTS, { recursive: true });
  const steps = names.length > 0 ? [...STEPS, ...EXTRA].filter((step) => names.includes(step.name)) : STEPS;
  const outcomes = steps.map((step) => {
    const started = Date.now();
    process.stdout.write(`\n== ${step.name}\n`);
    const outcome = step.run();
    process.stdout.write(
      `== ${step.name}: ${outcome.passed} passed, ${outcome.failed} failed in ${Math.round((Date.now() - started) / 1000)} s\n`,
    );
    return { name: step.name, ...outcome };
  });
  close(outcomes);
}

function close(outcomes) {
  const sum = (key) => outcomes.reduce((all, outcome) => all + outcome[key], 0);
  const skipped = outcomes.flatMap((outcome) => outcome.skipped);
  for (const name of skipped) process.stdout.write(`skipped: ${name}\n`);
  const broken = outcomes.flatMap(({ name, failed, broken }) =>
    broken.length > 0 ? broken.map((test) => `${name}: ${test}`) : failed > 0 ? [name] : [],
  );
  for (const test of broken) process.stdout.write(`failing: ${test}\n`);
  const total = { passed: sum('passed'), failed: sum('failed'), skipped: skipped.length, broken };
  if (process.env.PURSER_GATE_RESULT) writeFileSync(process.env.PURSER_GATE_RESULT, JSON.stringify(total));
  process.stdout.write(
    `\n${total.passed} passed, ${total.failed} failed${skipped.length ? `, ${skipped.length} skipped` : ''}\n`,
  );
  process.exitCode = total.failed > 0 ? 1 : 0;
}

await main(process.argv.slice(2));
