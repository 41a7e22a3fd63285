import { renameSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ModelServer } from '../modelserver/model-server.ts';
import { OnnxModel } from '../modelserver/onnx-model.ts';
import { packageVersion } from './package-root.ts';
import { StartError } from './start-error.ts';

/** Where a model's file comes from; rejects with a sentence for people. */
type ModelFile = () => Promise<string>;

interface Settings {
  readonly name: string;
  readonly version: string;
  readonly host: string;
  readonly port: number;
  readonly portFile: string | undefined;
}

/**
 * `purser model-server --model FILE --name NAME --version V [--host H] [--port P] [--port-file FILE]`: serves one ONNX model until SIGTERM.
 * With port 0 the system picks one, and the port file tells it: two replicas can never want the same.
 *
 * In a pod the settings come from the environment (`HOST`, `PORT`, `PURSER_MODEL_NAME`, `PURSER_MODEL_VERSION`), and the model from
 * `PURSER_ARTIFACT_URL` (see `fetch-model.ts`): it is alive at once, and ready when the model has come.
 */
export async function modelServer(): Promise<void> {
  const { file, settings } = readSettings(process.env);
  const server = new ModelServer({ model: null, ...settings, serverVersion: packageVersion });
  let loading = true;
  process.once('SIGTERM', () => (loading ? process.exit(0) : void server.drain().then(() => process.exit(0))));
  // A replica on this machine tells its port once it is ready; in a pod probes ask from the beginning.
  if (!settings.portFile) await server.listen(settings.host, settings.port);
  server.serve(await load(await file()));
  loading = false;
  if (settings.portFile) writeWhole(settings.portFile, String(await server.listen(settings.host, settings.port)));
  console.log(`serving ${settings.name} version ${settings.version}`);
}

function readSettings(env: NodeJS.ProcessEnv): { readonly file: ModelFile; readonly settings: Settings } {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    options: {
      model: { type: 'string' },
      name: { type: 'string', default: env.PURSER_MODEL_NAME ?? 'model' },
      version: { type: 'string', default: env.PURSER_MODEL_VERSION ?? '1' },
      host: { type: 'string', default: env.HOST ?? '127.0.0.1' },
      port: { type: 'string', default: env.PORT ?? '0' },
      'port-file': { type: 'string' },
    },
  });
  const { model, name, version, host } = values;
  const settings = { name, version, host, port: Number(values.port), portFile: values['port-file'] };
  if (model !== undefined) return { file: () => Promise.resolve(model), settings };
  if (!env.PURSER_ARTIFACT_URL) throw new StartError('--model must name an ONNX file, or PURSER_ARTIFACT_URL say where it is.');
  return { file: async () => (await import('./fetch-model.ts')).fetchModel(env), settings };
}

const load = (path: string): Promise<OnnxModel> =>
  OnnxModel.load(path, 1).catch((error: unknown) => {
    throw new StartError(`${path} is not an ONNX model that can run here: ${(error as Error).message}`);
  });

/** A reader sees the whole text or no file. */
function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}
