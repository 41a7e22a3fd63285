import { request } from 'node:http';

/** How long one probe may take. Lower: a busy replica counts as unready; higher: a hanging one is noticed late. */
const PROBE_TIMEOUT_MS = 2_000;

/** Null if the path answers 2xx, else why not, in words. Each probe has its own connection, as a first caller would. */
export function probe(port: number, path: string): Promise<string | null> {
  return new Promise((resolve) => {
    const asked = request({ host: '127.0.0.1', port, path, agent: false, timeout: PROBE_TIMEOUT_MS }, (answer) => {
      answer.resume();
      const { statusCode = 0 } = answer;
      resolve(statusCode >= 200 && statusCode < 300 ? null : `${path} answered ${statusCode}`);
      answer.destroy();
    });
    asked.once('timeout', () => asked.destroy(new Error(`${path} did not answer within ${PROBE_TIMEOUT_MS} ms`)));
    asked.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'ECONNREFUSED' ? 'it does not listen yet' : error.message),
    );
    asked.end();
  });
}
