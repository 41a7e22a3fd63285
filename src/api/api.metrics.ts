import { Counter, Histogram, type MetricRegistry } from '../telemetry/metrics.ts';

export interface ApiMetrics {
  readonly requests: Counter<'status'>;
  readonly duration: Histogram;
  readonly throttled: Counter;
}

export const makeApiMetrics = (registry: MetricRegistry): ApiMetrics => ({
  requests: new Counter({
    name: 'purser_api_requests_total',
    help: 'Answers of the API by status.',
    labelNames: ['status'],
    registers: [registry],
  }),
  duration: new Histogram({
    name: 'purser_api_request_seconds',
    help: 'Time from request to answer.',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [registry],
  }),
  throttled: new Counter({
    name: 'purser_api_throttled_total',
    help: 'Operations refused for their cost.',
    registers: [registry],
  }),
});
