import { Counter, Gauge, type MetricRegistry } from '../telemetry/metrics.ts';

export interface RouterMetrics {
  readonly requests: Counter<'status'>;
  readonly attempts: Counter<'outcome'>;
  readonly tableAge: Gauge;
  readonly tableHeld: Gauge;
  readonly reportsPending: Gauge;
  readonly reportsDropped: Counter;
}

/** Every metric of the router. */
export function makeRouterMetrics(registry: MetricRegistry): RouterMetrics {
  const registers = [registry];
  return {
    requests: new Counter({
      name: 'purser_router_requests_total',
      help: 'Requests answered, by class of status.',
      labelNames: ['status'],
      registers,
    }),
    attempts: new Counter({
      name: 'purser_router_attempts_total',
      help: 'Attempts at replicas, by outcome.',
      labelNames: ['outcome'],
      registers,
    }),
    tableAge: new Gauge({
      name: 'purser_router_table_age_seconds',
      help: 'Time since the control plane last confirmed the table.',
      registers,
    }),
    tableHeld: new Gauge({
      name: 'purser_router_table_held',
      help: '1 while a table that drops too many deployments waits for an operator.',
      registers,
    }),
    reportsPending: new Gauge({
      name: 'purser_router_reports_pending',
      help: 'Usage reports on disk that the control plane has not acknowledged.',
      registers,
    }),
    reportsDropped: new Counter({
      name: 'purser_router_reports_dropped_total',
      help: 'Usage reports lost because the spool was full or was refused.',
      registers,
    }),
  };
}
