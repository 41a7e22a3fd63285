import type { LogPage } from '../../deployments/cluster.port.ts';
import { isOutage } from '../api/errors.ts';
import type { KubernetesApi } from '../api/kubernetes-api.ts';
import { pathOf, PODS } from '../api/resource.ts';

/** Of one answer. Higher: a chatty replica fills our memory; lower: long lines push the newest out. */
const MAX_BYTES = 4 * 1024 * 1024;

export interface LogOptions {
  readonly cursor: string | null;
  readonly limit: number;
}

/** Lines of a container by their times, which the kubelet writes in nanoseconds: the cursor is the time of the last line. */
export async function podLogs(
  api: Pick<KubernetesApi, 'text'>,
  pod: { readonly namespace: string; readonly name: string; readonly container: string },
  { cursor, limit }: LogOptions,
): Promise<LogPage> {
  const since = cursor === null || cursor === '' ? null : cursor;
  // The server cuts `sinceTime` to whole seconds; what was read already is left out here.
  const range: Readonly<Record<string, string | number>> =
    since === null ? { tailLines: limit } : { sinceTime: `${since.slice(0, 19)}Z` };
  const query = { container: pod.container, timestamps: true, limitBytes: MAX_BYTES, ...range };
  const text = await api.text(pathOf(PODS, pod, 'log'), { query }).catch((error: unknown) => {
    // It has not started yet, or is gone: there is nothing to read.
    if (isOutage(error)) throw error;
    return '';
  });
  return pageOf(text, { cursor: since, limit });
}

export function pageOf(text: string, { cursor, limit }: LogOptions): LogPage {
  const lines = text
    .split('\n')
    .map(readLine)
    .filter((line) => line !== null)
    .filter(({ time }) => cursor === null || comparable(time) > comparable(cursor));
  const page = cursor === null ? lines.slice(Math.max(0, lines.length - limit)) : lines.slice(0, limit);
  return {
    lines: page.map(({ time, text }) => ({ at: Date.parse(time), stream: 'stdout', text })),
    cursor: page.at(-1)?.time ?? cursor ?? '',
  };
}

function readLine(line: string): { readonly time: string; readonly text: string } | null {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)) ?(.*)$/.exec(line);
  return match ? { time: match[1] ?? '', text: match[2] ?? '' } : null;
}

/** Kubelets leave out zeros at the end of the fraction. */
function comparable(time: string): string {
  const [, seconds = '', fraction = ''] = /^(.{19})(?:\.(\d+))?/.exec(time) ?? [];
  return `${seconds}.${fraction.padEnd(9, '0')}`;
}
