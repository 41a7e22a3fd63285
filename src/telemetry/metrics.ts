import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

/** How often the lag of the event loop is taken. Higher: short stalls are missed; lower: an idle process wakes for nothing else. */
const EVENT_LOOP_EVERY_MS = 100;

/** The one registry of a process. Features make their metrics in `*.metrics.ts` from it. */
export type MetricRegistry = Registry;
export { Counter, Gauge, Histogram };

export function makeMetricRegistry(): MetricRegistry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: EVENT_LOOP_EVERY_MS });
  return registry;
}
