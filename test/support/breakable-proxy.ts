import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { once } from 'node:events';

/** A TCP proxy in front of a port that can go away like a server that is killed, and come back at the same address. */
export interface BreakableProxy {
  readonly url: string;
  /** Connections that were made so far. */
  connections(): number;
  /** Cuts every connection and refuses new ones. */
  goAway(): Promise<void>;
  comeBack(): Promise<void>;
  /** Cuts the next connection that has carried this many bytes to the server; later ones are whole. */
  cutOnceAfter(bytes: number): void;
  /** Bytes carried to the server so far. */
  sentBytes(): number;
}

export async function startBreakableProxy(target: string): Promise<BreakableProxy> {
  const to = Number(new URL(target).port);
  const sockets = new Set<Socket>();
  let made = 0;
  let sent = 0;
  let cutAfter = Number.POSITIVE_INFINITY;
  const serve = async (port: number): Promise<Server> => {
    const server = createServer((client) => {
      made += 1;
      const upstream = connect(to, '127.0.0.1');
      for (const [socket, other] of [
        [client, upstream],
        [upstream, client],
      ] as const) {
        sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.on('close', () => (sockets.delete(socket), other.destroy()));
      }
      let carried = 0;
      client.on('data', (chunk: Buffer) => {
        carried += chunk.length;
        sent += chunk.length;
        if (carried < cutAfter) return;
        cutAfter = Number.POSITIVE_INFINITY;
        client.destroy();
      });
      client.pipe(upstream).pipe(client);
    });
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    return server;
  };
  let server = await serve(0);
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    connections: () => made,
    sentBytes: () => sent,
    cutOnceAfter: (bytes) => {
      cutAfter = bytes;
    },
    goAway: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    comeBack: async () => {
      server = await serve(port);
    },
  };
}
