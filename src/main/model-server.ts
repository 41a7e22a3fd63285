import { renameSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ModelServer } from '../modelserver/model-server.ts';
import { OnnxModel } from '../modelserver/onnx-model.ts';
import { packageVersion } from './package-root.ts';
import { StartError } from './start-error.ts';

/**
 * `purser model-server --model FILE --name NAME --version V [--port P] [--port-file FILE]`: serves one ONNX model on loopback until SIGTERM.
 * With port 0 the system picks one, and the port file tells it: two replicas can never want the same.
 */
export async function modelServer(): Promise<void> {
  const { values } = parseArgs({
    args: process.argv.slice(3),
    options: {
      model: { type: 'string' },
      name: { type: 'string', default: 'model' },
      version: { type: 'string', default: '1' },
      port: { type: 'string', default: '0' },
      'port-file': { type: 'string' },
    },
  });
  if (!values.model) throw new StartError('--model must name an ONNX file.');
  const model = await OnnxModel.load(values.model, 1).catch((error: unknown) => {
    throw new StartError(`${values.model ?? ''} is not an ONNX model that can run here: ${(error as Error).message}`);
  });
  const server = new ModelServer({ model, name: values.name, version: values.version, serverVersion: packageVersion });
  const port = await server.listen('127.0.0.1', Number(values.port));
  if (values['port-file']) writeWhole(values['port-file'], String(port));
  console.log(`serving ${values.name} version ${values.version} on 127.0.0.1:${port}`);
  process.once('SIGTERM', () => void server.drain().then(() => process.exit(0)));
}

/** A reader sees the whole text or no file. */
function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}
