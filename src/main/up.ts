import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DEMO, inferBody, runDemo, type DemoReport } from '../../clients/cli/demo.ts';
import { money } from '../../clients/cli/output.ts';
import { PurserClient } from '../../clients/typescript/purser-client.ts';
import { stopRuntime } from '../local/spawn-runtime.ts';
import { readConfig, type Config } from './config.ts';
import { holdDataFolder, prepareDataFolder } from './data-folder.ts';
import { packageRoot } from './package-root.ts';
import { listenError, StartError } from './start-error.ts';
import { Supervisor } from './supervisor.ts';
import { systemClock } from './system-clock.ts';

/** How long a process may take to answer its first readiness probe. Higher: a hang is noticed late; lower: a slow disk fails the start. */
const READY_TIMEOUT_MS = 90_000;
/** How long the first deployment may take. Higher: a broken example is noticed late; lower: a slow machine's start fails. */
const DEMO_TIMEOUT_MS = 90_000;
const PROBE_MS = 100;

/** `purser up`: everything on this machine, kept running until Ctrl-C, which drains and stops all of it. */
export async function up(): Promise<void> {
  const config = readConfig(process.env, process.cwd());
  prepareDataFolder(config.dataDir);
  await holdDataFolder(config.dataDir);
  const supervisor = new Supervisor({
    dataDir: config.dataDir,
    entry: join(import.meta.dirname, 'purser.js'),
    env: process.env,
    clock: systemClock,
  });
  await supervisor.endLeftBehind();
  await refuseTakenPorts(config);
  const stop = once(() => stopAll(supervisor, config));
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => void stop().then(() => process.exit(0)));
  try {
    console.error('Starting …');
    await startAll(supervisor, config);
    const token = readFileSync(join(config.dataDir, 'admin-token'), 'utf8').trim();
    const client = new PurserClient({ url: config.apiUrl, token });
    const folder = join(packageRoot, 'deploy', 'example', 'digits');
    // What a user has made of the example since is theirs: a start does not end because of it.
    const report = await runDemo(client, { folder, routerUrl: config.routerUrl, timeoutMs: DEMO_TIMEOUT_MS }).catch(
      (error: unknown) => (error as Error).message,
    );
    console.log(summary(config, report));
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startAll(supervisor: Supervisor, config: Config): Promise<void> {
  await startOne(supervisor, 'serve', `${config.apiUrl}/readyz`);
  await startOne(supervisor, 'router', `${config.routerUrl}/-/readyz`);
}

/** A process that stops before it was ever ready is given up, with its own last words; later it is restarted for ever. */
async function startOne(supervisor: Supervisor, name: string, url: string): Promise<void> {
  const ended = new AbortController();
  let wasReady = false;
  supervisor.start(name, (code) => {
    if (!wasReady)
      ended.abort(
        new StartError(`purser ${name} stopped with status ${code ?? 'unknown'}: ${lastLine(supervisor.logFile(name))}`),
      );
    return !wasReady;
  });
  await ready(url, ended.signal);
  wasReady = true;
}

async function ready(url: string, ended: AbortSignal): Promise<void> {
  const deadline = systemClock.now() + READY_TIMEOUT_MS;
  while (systemClock.now() < deadline) {
    ended.throwIfAborted();
    const answer = await fetch(url).catch(() => null);
    if (answer?.ok) return;
    await new Promise((resolve) => setTimeout(resolve, PROBE_MS));
  }
  throw new StartError(`${url} did not answer within ${READY_TIMEOUT_MS / 1000} s; the logs are in the data folder.`);
}

function lastLine(file: string): string {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  return lines.findLast((line) => line.startsWith('purser: '))?.slice('purser: '.length) ?? `see ${file}`;
}

/** Router first (it finishes what it has and reports it), then the control plane with the database, last the replicas. */
async function stopAll(supervisor: Supervisor, config: Config): Promise<void> {
  supervisor.freeze();
  await supervisor.stop('router');
  await supervisor.stop('serve');
  await stopRuntime(config.dataDir);
}

async function refuseTakenPorts(config: Config): Promise<void> {
  await refuseTakenPort(config.host, config.port, 'the API', 'PURSER_PORT');
  await refuseTakenPort(config.host, config.routerPort, 'the router', 'PURSER_ROUTER_PORT');
  await refuseTakenPort(config.linkHost, config.linkPort, 'the router link', 'PURSER_LINK_PORT');
}

function refuseTakenPort(host: string, port: number, what: string, variable: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error) => reject(listenError(error, what, port, variable)));
    probe.listen(port, host, () => probe.close(() => resolve()));
  });
}

function once(body: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null;
  return () => (running ??= body());
}

function summary(config: Config, report: DemoReport | string): string {
  const tokenFile = join(config.dataDir, 'admin-token');
  return `
Purser is up.

  dashboard    ${config.apiUrl}/
  GraphQL      ${config.apiUrl}/graphql   (GraphiQL: ${config.apiUrl}/graphiql)
  router       ${config.routerUrl}/
  admin token  ${tokenFile}

${typeof report === 'string' ? `The example did not answer: ${report}` : exampleLines(report, tokenFile)}

Ask the control plane:
  curl -s -H "Authorization: Bearer $(cat ${shellWord(tokenFile)})" -H 'Content-Type: application/json' \\
    -d '{"query":"{ deployments { nodes { path status { phase } monthlyEstimate { amount } } } }"}' ${config.apiUrl}/graphql

Ctrl-C stops everything.`;
}

function exampleLines(report: DemoReport, tokenFile: string): string {
  const right = report.answers.filter((answer) => answer.expected === answer.predicted).length;
  const example = JSON.stringify(inferBody(Array.from({ length: 64 }, (_value, i) => (i % 8 === 4 ? 16 : 0))));
  return `${DEMO.path} answered ${report.answers.length} requests, ${right} of them right.
They cost ${report.answers.map((answer) => (answer.cost ? money(answer.cost) : 'unpriced')).join(', ')}; the deployment so far: ${money(report.costSoFar)} (estimate).

Ask the model yourself:
  curl -s -H "Authorization: Bearer $(cat ${shellWord(tokenFile)})" -H 'Content-Type: application/json' \\
    -d '${example}' ${report.endpoint}/v2/models/${DEMO.name}/infer`;
}

/** A path as a shell reads it, in quotes where it needs them. */
const shellWord = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
