import type { Instant } from '../../kernel/instant.ts';

/** From a warning to the end of the machine, as EC2 promises. */
const WARNING_MS = 120_000;

/** `warning`: EC2 takes the machine; `rebalance`: EC2 is more likely than before to take it. */
export type NoticeKind = 'warning' | 'rebalance';

export interface OpenNotice {
  readonly kind: NoticeKind;
  readonly noticedAt: Instant;
}

export interface NoticeEvent extends OpenNotice {
  readonly instanceId: string;
}

const INSTANCE_ID = /^i-[0-9a-f]{8,17}$/;

const KINDS: Readonly<Record<string, NoticeKind>> = {
  'EC2 Spot Instance Interruption Warning': 'warning',
  'EC2 Instance Rebalance Recommendation': 'rebalance',
};

/** What a message of the queue says: a notice, something else of EC2 that nobody needs (null), or nothing that can be read. */
export function readEvent(body: string | undefined): NoticeEvent | null | 'malformed' {
  const event = parse(body);
  const type = event?.['detail-type'];
  if (!event || typeof type !== 'string') return 'malformed';
  const kind = Object.hasOwn(KINDS, type) ? KINDS[type] : undefined;
  if (kind !== undefined) return readDetail(kind, event) ?? 'malformed';
  return event['source'] === 'aws.ec2' ? null : 'malformed';
}

function readDetail(kind: NoticeKind, { detail, time }: Fields): NoticeEvent | null {
  const instanceId = isRecord(detail) ? detail['instance-id'] : null;
  const noticedAt = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  if (typeof instanceId !== 'string' || !INSTANCE_ID.test(instanceId) || !Number.isSafeInteger(noticedAt)) return null;
  return { kind, instanceId, noticedAt };
}

/** The notice that stands: a warning before a recommendation, then the earliest; so order and repeats of messages do not matter. */
export function strongest(one: OpenNotice | null, other: OpenNotice): OpenNotice {
  if (!one) return other;
  if (one.kind !== other.kind) return one.kind === 'warning' ? one : other;
  return one.noticedAt <= other.noticedAt ? one : other;
}

/** As it is written on the machine. */
export const noticeText = ({ kind, noticedAt }: OpenNotice): string => `${kind}@${noticedAt}`;

export function readNotice(text: string | undefined): OpenNotice | null {
  const [, kind, noticedAt] = /^(warning|rebalance)@(\d{1,15})$/.exec(text ?? '') ?? [];
  return kind === undefined ? null : { kind: kind as NoticeKind, noticedAt: Number(noticedAt) };
}

/** When the machine is gone at the earliest; null = nobody says that it will be. */
export const goneAtOf = ({ kind, noticedAt }: OpenNotice): Instant | null => (kind === 'warning' ? noticedAt + WARNING_MS : null);

export const noticeWords = ({ kind }: OpenNotice): string =>
  kind === 'warning'
    ? 'EC2 takes this spot instance back two minutes after the notice.'
    : 'EC2 is more likely than before to take this spot instance back.';

type Fields = Readonly<Record<string, unknown>>;

function parse(body: string | undefined): Fields | null {
  try {
    const value: unknown = JSON.parse(body ?? '');
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value);
