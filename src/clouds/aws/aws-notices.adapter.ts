import type { Message } from '@aws-sdk/client-sqs';
import type { Clock } from '../../kernel/clock.ts';
import { MINUTE_MS } from '../../kernel/instant.ts';
import type { Logger } from '../../telemetry/logger.ts';
import type { CloudInterruption } from '../cloud-provider.port.ts';
import type { AwsApi } from './aws-api.adapter.ts';
import { isThere, type AwsMachines, type Machine } from './aws-machines.adapter.ts';
import { goneAtOf, noticeText, noticeWords, readEvent, strongest, type NoticeEvent, type OpenNotice } from './open-notice.ts';
import { TAG } from './pool-tags.ts';

/** Messages per request: the most that SQS gives. */
const BATCH = 10;
/** Messages that one look takes in. Higher: a look in a storm takes longer; lower: a storm takes several looks. */
const MAX_MESSAGES = 2_000;
/** Requests to one queue at a time. Higher: SQS throttles; lower: a storm takes longer. */
const AT_ONCE = 8;
/** A machine so young may not show yet: its notice stays in the queue. */
const YOUNG_MS = 5 * MINUTE_MS;

export interface AwsNoticesDeps {
  readonly api: AwsApi;
  readonly machines: AwsMachines;
  readonly queues: readonly { readonly region: string; readonly queueUrl: string }[];
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Queue {
  readonly region: string;
  readonly queueUrl: string;
}

/**
 * Notices that are open. A message is written onto its machine as a tag and only then deleted: the machine itself remembers its notice, over
 * restarts and for every instance of the control plane, and takes it along when it goes. Repeats and disorder change nothing.
 */
export class AwsNotices {
  readonly #deps: AwsNoticesDeps;

  constructor(deps: AwsNoticesDeps) {
    this.#deps = deps;
  }

  async open(): Promise<CloudInterruption[]> {
    for (const queue of this.#deps.queues) await this.#drain(queue);
    const regions = [...new Set(this.#deps.queues.map(({ region }) => region))];
    const machines = await Promise.all(regions.map((region) => this.#deps.machines.withNotice(region)));
    return machines.flat().flatMap(toInterruption);
  }

  async #drain(queue: Queue): Promise<void> {
    for (let taken = 0; taken < MAX_MESSAGES;) {
      const messages = await this.#receive(queue);
      if (messages.length === 0) return;
      taken += messages.length;
      await this.#takeIn(queue, messages);
    }
  }

  /** Several requests at once; SQS gives each message to one of them. */
  async #receive({ region, queueUrl }: Queue): Promise<Message[]> {
    const { sdk, client } = await this.#deps.api.open('sqs', region);
    const receive = async (): Promise<Message[]> => {
      const command = new sdk.ReceiveMessageCommand({ QueueUrl: queueUrl, MaxNumberOfMessages: BATCH, WaitTimeSeconds: 0 });
      const send = (abortSignal: AbortSignal) => client.send(command, { abortSignal });
      return (await this.#deps.api.ask('ReceiveMessage', send)).Messages ?? [];
    };
    const first = await receive();
    if (first.length < BATCH) return first;
    return [...first, ...(await Promise.all(Array.from({ length: AT_ONCE - 1 }, receive))).flat()];
  }

  async #takeIn(queue: Queue, messages: readonly Message[]): Promise<void> {
    const read = messages.map((message) => ({ message, event: readEvent(message.Body) }));
    const events = read.flatMap(({ event }) => (event === null || event === 'malformed' ? [] : [event]));
    const known = await this.#deps.machines.byId(queue.region, [...new Set(events.map(({ instanceId }) => instanceId))]);
    await this.#write(queue.region, events, known);
    const malformed = read.filter(({ event }) => event === 'malformed').length;
    if (malformed > 0) this.#deps.logger.warn({ queue: queue.queueUrl, malformed }, 'messages that are no notices were deleted');
    await this.#delete(
      queue,
      read.filter(({ event }) => !this.#mayComeYet(event, known)).map(({ message }) => message),
    );
  }

  #mayComeYet(event: ReturnType<typeof readEvent>, known: readonly Machine[]): boolean {
    if (event === null || event === 'malformed' || known.some(({ instanceId }) => instanceId === event.instanceId)) return false;
    return this.#deps.clock.now() - event.noticedAt < YOUNG_MS;
  }

  /** Machines with the same notice, to the second, are told at once: a storm is few requests. */
  async #write(region: string, events: readonly NoticeEvent[], known: readonly Machine[]): Promise<void> {
    const byText = new Map<string, string[]>();
    for (const { instanceId, notice } of known.filter(isThere)) {
      const own = events.filter((event) => event.instanceId === instanceId);
      const stands = own.reduce<OpenNotice | null>(strongest, notice);
      const text = stands && noticeText(stands);
      if (text === null || (notice && text === noticeText(notice))) continue;
      byText.set(text, [...(byText.get(text) ?? []), instanceId]);
    }
    for (const [text, ids] of byText) await this.#deps.machines.tag(region, ids, { [TAG.notice]: text });
  }

  async #delete({ region, queueUrl }: Queue, messages: readonly Message[]): Promise<void> {
    const { sdk, client } = await this.#deps.api.open('sqs', region);
    for (let at = 0; at < messages.length; at += BATCH) {
      const batch = messages.slice(at, at + BATCH);
      const entries = batch.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle: ReceiptHandle ?? '' }));
      const command = new sdk.DeleteMessageBatchCommand({ QueueUrl: queueUrl, Entries: entries });
      // One that could not be deleted comes again, and changes nothing.
      await this.#deps.api.ask('DeleteMessageBatch', (abortSignal) => client.send(command, { abortSignal }));
    }
  }
}

function toInterruption({ instanceId, nodeName, notice, phase }: Machine): CloudInterruption[] {
  if (!notice || phase === 'gone') return [];
  const { noticedAt } = notice;
  return [{ instanceId, nodeName, noticedAt, goneAt: goneAtOf(notice), message: noticeWords(notice) }];
}
