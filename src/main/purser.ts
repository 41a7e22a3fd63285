#!/usr/bin/env node
/**
 * The command `purser`. Process commands are here, each loading only what it needs; everything else is the client in `clients/cli`,
 * which speaks to the API as any other client does.
 */
const PROCESSES: Readonly<Record<string, () => Promise<unknown>>> = {
  up: async () => (await import('./up.ts')).up(),
  serve: async () => (await import('./serve.ts')).serve(),
  router: async () => (await import('./router.ts')).router(),
  operator: async () => (await import('./operator.ts')).operator(),
  extender: async () => (await import('./extender.ts')).extender(),
  runtime: async () => (await import('./runtime.ts')).runtime(),
  'model-server': async () => {
    // Before ONNX Runtime is loaded: nothing here calls anybody.
    process.env.ORT_DISABLE_TELEMETRY = '1';
    return (await import('./model-server.ts')).modelServer();
  },
  migrate: async () => (await import('./migrate.ts')).migrate(),
  simulate: async () => (await import('./simulate.ts')).simulate(),
  'new-token': async () => (await import('./new-token.ts')).printNewToken(),
};

const startProcess = PROCESSES[process.argv[2] ?? ''];
const asksForHelp = ['--help', '-h'].includes(process.argv[3] ?? '') && process.argv[2] !== 'simulate';
if (startProcess && !asksForHelp) {
  await startProcess().catch(stopWithReason);
} else {
  process.stdout.on('error', endQuietly);
  const { runCli } = await import('../../clients/cli/cli.ts');
  process.exitCode = await runCli(startProcess ? ['help'] : process.argv.slice(2));
}

/** A reader that has seen enough (`purser events | head`) ends the command without a word. */
function endQuietly(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
}

/** One clear sentence for an expected refusal (a port in use, a wrong setting); the stack only for bugs. */
function stopWithReason(error: unknown): void {
  const expected =
    error instanceof Error && ['ConfigError', 'StartError', 'DatabaseRefused', 'EmbeddedDatabaseError'].includes(error.name);
  process.stderr.write(`purser: ${expected ? error.message : ((error as Error).stack ?? String(error))}\n`);
  // At once: a timer or a socket that is left over must not keep a failed process from being started again.
  process.exit(1);
}
