// The pure parts of the AWS adapter, by tables: what an error of the SDK means, what a message of the queue says, what names and tokens are.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AwsApi } from '../../src/clouds/aws/aws-api.adapter.ts';
import { AwsRefusal, refusalIn, resultOf } from '../../src/clouds/aws/aws-errors.ts';
import { AwsSettings } from '../../src/clouds/aws/aws-settings.adapter.ts';
import { CloudUnknown } from '../../src/clouds/cloud-provider.port.ts';
import { noticeText, readEvent, readNotice, strongest, type OpenNotice } from '../../src/clouds/aws/open-notice.ts';
import { batchText, clientTokenOf, nameOf, readBatch } from '../../src/clouds/aws/pool-tags.ts';

const sdkError = (name: string, status?: number): Error =>
  Object.assign(new Error('words'), { name, $metadata: status === undefined ? {} : { httpStatusCode: status } });

describe('Cloud port: how long AWS is waited for', () => {
  test('a sign-in that never ends is given up, though no request was sent that could be ended', async () => {
    const settings = AwsSettings.parse({ regions: ['us-east-1'] });
    const api = new AwsApi(settings, { use: 'pools', deadline: () => AbortSignal.timeout(20) });
    const asked = api.ask('RunInstances', () => new Promise(() => undefined));
    await expect(asked).rejects.toThrow(CloudUnknown);
  });
});

describe('Cloud port: what an error of AWS means', () => {
  test.each([
    ['InsufficientInstanceCapacity', 500, 'STOCK_OUT', 120_000],
    ['UnfulfillableCapacity', 400, 'STOCK_OUT', 120_000],
    ['VcpuLimitExceeded', 400, 'QUOTA', 600_000],
    ['InstanceLimitExceeded', 400, 'QUOTA', 600_000],
    ['MaxSpotInstanceCountExceeded', 400, 'QUOTA', 600_000],
    ['ResourceLimitExceededException', 400, 'QUOTA', 600_000],
    ['InvalidAMIID.NotFound', 400, 'INVALID', null],
    ['InvalidParameterException', 400, 'INVALID', null],
  ])('%s (%i) is refused: %s', (name, status, reason, retryAfterMs) => {
    const refusal = refusalIn(sdkError(name, status));
    expect(refusal).toBeInstanceOf(AwsRefusal);
    expect(refusal && resultOf(refusal)).toMatchObject({ outcome: 'refused', reason, retryAfterMs, message: `${name}: words` });
  });

  test.each([
    ['RequestLimitExceeded', 503],
    ['RequestLimitExceeded', 400],
    ['ThrottlingException', 400],
    ['TooManyRequestsException', 429],
    ['InternalError', 500],
    ['SomethingNew', 502],
    ['RequestExpired', 400],
    ['UnauthorizedOperation', 403],
    ['ExpiredToken', 400],
    ['AbortError', undefined],
    ['ECONNRESET', undefined],
    ['SyntaxError', 200],
  ])('%s (%s) is unknown', (name, status) => {
    expect(refusalIn(sdkError(name, status))).toBeNull();
  });
});

const event = (change: Record<string, unknown> = {}): string =>
  JSON.stringify({
    ...{ 'detail-type': 'EC2 Spot Instance Interruption Warning', source: 'aws.ec2', time: '2026-11-21T12:00:00Z' },
    ...{ detail: { 'instance-id': 'i-0123456789abcdef0' }, ...change },
  });

describe('Spot: what a message of AWS says', () => {
  test.each([
    ['a warning', event(), { kind: 'warning', instanceId: 'i-0123456789abcdef0', noticedAt: Date.parse('2026-11-21T12:00:00Z') }],
    ['a recommendation', event({ 'detail-type': 'EC2 Instance Rebalance Recommendation' }), { kind: 'rebalance' }],
  ])('%s', (_, body, notice) => {
    expect(readEvent(body)).toMatchObject(notice);
  });

  test.each([
    ['something else of EC2', event({ 'detail-type': 'EC2 Instance State-change Notification' }), null],
    ['of somebody else', event({ 'detail-type': 'Cake', source: 'me' }), 'malformed'],
    ['a type that every object has', event({ 'detail-type': 'constructor', source: 'me' }), 'malformed'],
    ['no machine', event({ detail: {} }), 'malformed'],
    ['no time', event({ time: 'noon' }), 'malformed'],
    ['no JSON', '{', 'malformed'],
    ['nothing', undefined, 'malformed'],
  ])('%s is no notice', (_, body, read) => {
    expect(readEvent(body)).toBe(read);
  });

  test('the notice that stands does not depend on the order, and is read as it was written', () => {
    const notice = fc.record({ kind: fc.constantFrom('warning' as const, 'rebalance' as const), noticedAt: fc.nat(1_000) });
    const standing = (notices: readonly OpenNotice[]) => notices.reduce<OpenNotice | null>(strongest, null);
    fc.assert(
      fc.property(fc.array(notice, { minLength: 1, maxLength: 6 }), fc.nat(5), (notices, from) => {
        const stands = standing(notices);
        expect(standing([...notices.slice(from), ...notices, ...notices.slice(0, from)])).toEqual(stands);
        expect(stands && readNotice(noticeText(stands))).toEqual(stands);
      }),
    );
  });
});

describe('Cloud port: names at AWS', () => {
  test('a name fits everywhere, and no two keys share one', () => {
    const part = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$/);
    const key = fc.tuple(part, part, part).map((parts) => parts.join('/'));
    fc.assert(
      fc.property(key, key, (one, other) => {
        expect(nameOf(one)).toMatch(/^[A-Za-z0-9][A-Za-z0-9-]{2,62}$/);
        if (one !== other) expect(nameOf(one)).not.toBe(nameOf(other));
      }),
    );
    expect(nameOf('a/b-c/d')).not.toBe(nameOf('a-b/c/d'));
  });

  test('a token is of one batch of one pool, and no longer than EC2 takes', () => {
    const tokens = ['lt-1/1', 'lt-1/2', 'lt-2/1'].map((text) => clientTokenOf(text.slice(0, 4), Number(text.slice(5))));
    expect(new Set(tokens).size).toBe(3);
    expect(tokens.every((token) => token.length <= 64)).toBe(true);
  });

  test.each(['', 'x', '1', '-1@5', '1@', undefined])('a batch that is written as %j is none', (text) => {
    expect(readBatch(text)).toEqual({ number: 0, askedAt: 0 });
    expect(readBatch(batchText({ number: 3, askedAt: 9 }))).toEqual({ number: 3, askedAt: 9 });
  });
});
