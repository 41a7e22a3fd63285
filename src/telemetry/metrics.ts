import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/** The one registry of a process. Features make their metrics in `*.metrics.ts` from it. */
export type MetricRegistry = Registry;
export { Counter, Gauge, Histogram };

export function makeMetricRegistry(): MetricRegistry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}
