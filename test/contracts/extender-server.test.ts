// The extender's HTTP server on a port of its own, asked over bare sockets that send too little, too slowly, or too many at a time.
import { connect, type Socket } from 'node:net';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ExtenderServer } from '../../src/kubernetes/extender/extender-server.adapter.ts';
import { quietLogger } from '../support/quiet-logger.ts';

const QUESTION = JSON.stringify({ Pod: { metadata: {}, spec: { containers: [] } }, NodeNames: ['one'] });
const HEAD = `POST /filter HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${QUESTION.length}\r\n\r\n`;

describe("In other clusters' schedulers: whoever asks slowly, or too much, holds up nobody", () => {
  let server: ExtenderServer;
  let port: number;
  let sockets: Socket[];

  beforeEach(async () => {
    sockets = [];
    server = new ExtenderServer(
      { filter: ({ names }) => ({ NodeNames: names, FailedNodes: {} }), prioritize: () => [] },
      { host: '127.0.0.1', port: 0, tls: null, logger: quietLogger, questionMs: 300, connections: 3 },
    );
    ({ port } = await server.listen());
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await server.close().catch(() => undefined);
  });

  async function open(): Promise<Socket> {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
    return socket;
  }
  /** All that comes until the other side ends it. */
  async function untilClosed(socket: Socket): Promise<string> {
    const parts: Buffer[] = [];
    socket.on('data', (part: Buffer) => parts.push(part));
    if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
    return Buffer.concat(parts).toString();
  }
  const ask = async (): Promise<unknown> =>
    (await fetch(`http://127.0.0.1:${port}/filter`, { method: 'POST', body: QUESTION, headers: { connection: 'close' } })).json();

  test('a whole question is answered', async () => {
    expect(await ask()).toEqual({ NodeNames: ['one'], FailedNodes: {} });
  });

  test.each([
    ['nothing', ''],
    ['half a head', 'POST /filter HTTP/1.1\r\nhost: x\r\n'],
    ['half a question', HEAD + QUESTION.slice(0, 10)],
  ])('one that sends %s is ended', async (_, text) => {
    const socket = await open();
    if (text !== '') socket.write(text);
    expect(await untilClosed(socket)).toMatch(/^(HTTP\/1\.1 408 |$)/);
  });

  test('no more connections than allowed; when they are ended there is room again', async () => {
    const held = [await open(), await open(), await open()];
    for (const socket of held) socket.write(HEAD);
    const more = await open();
    expect(await untilClosed(more)).toBe('');
    await Promise.all(held.map(untilClosed));
    expect(await ask()).toEqual({ NodeNames: ['one'], FailedNodes: {} });
  });

  test('its end waits for nobody who sends half a question', async () => {
    const socket = await open();
    const came = once(socket, 'data');
    socket.write(HEAD.replace('host: x', 'host: x\r\nexpect: 100-continue') + QUESTION.slice(0, 10));
    expect(String(await came)).toContain('100 Continue');
    await Promise.all([server.close(), untilClosed(socket)]);
    await expect(ask()).rejects.toThrow();
  });
});
