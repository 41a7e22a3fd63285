import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '../telemetry/logger.ts';
import { Attempt, type AttemptResult } from './attempt.ts';
import { NO_REPLICA, REPLICA_FAILED, TOO_LATE, asleep, queueFull, refuse, stillWaking, type Refusal } from './answers.ts';
import type { Caller } from './callers.ts';
import { mayRetry } from './decide-retry.ts';
import type { Grant, LiveDeployment, LiveReplica } from './live-deployments.ts';
import type { MicroClock } from './micro-clock.ts';
import { noteOutcome, type Outcome } from './outlier-ejection.ts';
import { CallerGone, RequestBody } from './request-body.ts';
import type { RouterMetrics } from './router.metrics.ts';
import { stampOf } from './stamp.ts';
import type { UsageWindow } from './usage-window.ts';

export interface ExchangeDeps {
  readonly clock: MicroClock;
  readonly usage: UsageWindow;
  readonly metrics: RouterMetrics;
  readonly logger: Logger;
  readonly draining: () => boolean;
  readonly stallMs: number;
}

export interface ExchangeInput {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly requestId: string;
  readonly caller: Caller;
  readonly deployment: LiveDeployment;
  readonly rest: string;
}

/** One request of a caller, from the queue to the last byte, over as many attempts as the budget allows. */
export class Exchange {
  readonly #deps: ExchangeDeps;
  readonly #input: ExchangeInput;
  readonly #body: RequestBody;
  readonly #tried = new Set<string>();
  #leaveQueue: (() => void) | null = null;
  #attempt: Attempt | null = null;
  #stamped = 0n;
  #attempts = 0;
  #sent = 0;
  #waiting = false;
  #gone = false;
  #late = false;

  constructor(deps: ExchangeDeps, input: ExchangeInput) {
    this.#deps = deps;
    this.#input = input;
    this.#body = new RequestBody(input.request);
  }

  async run(): Promise<void> {
    const { response, deployment } = this.#input;
    const onDeadline = (): void => this.#tooLate();
    const timer = setTimeout(onDeadline, deployment.row.deadlineMs);
    response.once('close', () => this.#callerGone());
    deployment.budget.deposit();
    try {
      await this.#body.ready();
      while (!this.#gone && (await this.#once(timer)));
    } catch (error) {
      if (!(error instanceof CallerGone)) throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** One attempt; true = try again. */
  async #once(timer: NodeJS.Timeout): Promise<boolean> {
    const { deployment, response, requestId } = this.#input;
    const acquired = deployment.acquire(this.#tried, (leave) => (this.#leaveQueue = leave));
    const grant = acquired instanceof Promise ? await this.#inQueue(acquired) : acquired;
    if (grant.kind === 'replica' && this.#gone) deployment.release(grant.replica);
    if (this.#gone) return false;
    if (grant.kind !== 'replica') {
      refuse(response, requestId, refusalOf(grant.kind, deployment));
      return false;
    }
    const outcome = await this.#send(grant.replica, timer);
    if (outcome === 'retry') return true;
    if (outcome === 'give up') refuse(response, requestId, REPLICA_FAILED);
    return false;
  }

  async #inQueue(granted: Promise<Grant>): Promise<Grant> {
    this.#waiting = true;
    const grant = await granted;
    this.#waiting = false;
    return grant;
  }

  async #send(replica: LiveReplica, timer: NodeJS.Timeout): Promise<'done' | 'retry' | 'give up'> {
    const { clock, usage } = this.#deps;
    const { caller, deployment, request, response, requestId, rest } = this.#input;
    const startedUs = clock.nowUs();
    const group = {
      replicaId: replica.id,
      callerTeamId: caller.callerTeamId ?? deployment.row.teamId,
      caller: caller.principalId,
    };
    const open = usage.begin(group, startedUs);
    const onHeaders = (): void => clearTimeout(timer);
    const { draining, stallMs } = this.#deps;
    const stampedBefore = this.#stamped;
    this.#attempts += 1;
    this.#attempt = new Attempt(
      { request, response, requestId, rest, body: this.#body, clock, stampedBefore, onHeaders, stallMs, draining },
      replica,
      startedUs,
    );
    this.#attempt.start();
    const result = await this.#attempt.result;
    const { endedUs } = result;
    deployment.release(replica);
    if (this.#late || !this.#gone) noteOutcome(replica.health, this.#late ? 'bad' : outcomeOf(result), endedUs / 1000);
    const next = this.#next(result, replica, endedUs / 1000);
    const stamp = stampOf(replica.rate ?? 0n, endedUs - startedUs, replica.revision.concurrency);
    this.#stamped += stamp;
    const answering = next !== 'retry' && (result.kind !== 'failed' || !this.#gone);
    usage.end(open, {
      endedUs,
      answering,
      error: result.kind !== 'answered' || result.status >= 500,
      bytesIn: this.#body.bytes,
      bytesOut: result.bytesOut,
      stamp,
    });
    this.#deps.metrics.attempts.inc({ outcome: next === 'retry' ? 'retried' : result.kind });
    return next;
  }

  #next(result: AttemptResult, replica: LiveReplica, nowMs: number): 'done' | 'retry' | 'give up' {
    if (result.kind !== 'failed' || this.#gone) return 'done';
    const { request, response, deployment } = this.#input;
    this.#tried.add(replica.id);
    if (result.written) this.#sent += 1;
    const failed = {
      method: request.method ?? 'GET',
      revision: replica.revision,
      attempts: this.#attempts,
      sent: this.#sent,
      untried: deployment.hasUntried(this.#tried),
      written: result.written,
      replayable: this.#body.replayable,
      answered: response.headersSent,
    };
    return mayRetry(failed) && deployment.budget.withdraw(nowMs) ? 'retry' : 'give up';
  }

  #tooLate(): void {
    const { deployment, response, requestId } = this.#input;
    const wakesInS = this.#waiting ? deployment.wakesInS : null;
    this.#late = true;
    this.#end();
    refuse(response, requestId, wakesInS === null ? TOO_LATE : stillWaking(wakesInS));
  }

  #callerGone(): void {
    if (!this.#input.response.writableFinished) this.#end();
  }

  #end(): void {
    this.#gone = true;
    this.#leaveQueue?.();
    this.#attempt?.abort();
  }
}

function refusalOf(kind: Exclude<Grant['kind'], 'replica'>, deployment: LiveDeployment): Refusal {
  if (kind === 'asleep') return asleep(deployment.row.path);
  return kind === 'full' ? queueFull(deployment.wakesInS) : NO_REPLICA;
}

function outcomeOf(result: AttemptResult): Outcome {
  if (result.kind !== 'answered') return 'unreachable';
  return result.status >= 502 && result.status <= 504 ? 'bad' : 'good';
}
