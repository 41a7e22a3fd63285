import { Agent, request } from 'node:http';

export interface LoadAnswer {
  readonly status: number;
  readonly requestId: string | undefined;
}

/** Callers over kept-alive connections, one request after the other, until told to stop. */
export class Load {
  readonly answers: LoadAnswer[] = [];
  readonly failures: Error[] = [];
  readonly #agent: Agent;
  readonly #callers: Promise<void>[];
  #stopped = false;

  constructor(url: string, headers: Record<string, string>, callers: number) {
    this.#agent = new Agent({ keepAlive: true, maxSockets: callers });
    this.#callers = Array.from({ length: callers }, () => this.#call(url, headers));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#callers);
    this.#agent.destroy();
  }

  async #call(url: string, headers: Record<string, string>): Promise<void> {
    while (!this.#stopped) {
      await this.#once(url, headers).then((answer) => this.answers.push(answer), (error: unknown) => {
        this.failures.push(error as Error);
        if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') this.#stopped = true;
      });
    }
  }

  #once(url: string, headers: Record<string, string>): Promise<LoadAnswer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(url, { method: 'POST', headers, agent: this.#agent }, (answer) => {
        answer.resume();
        answer.once('end', () => resolve({ status: answer.statusCode ?? 0, requestId: answer.headers['purser-request-id'] as string | undefined }));
        answer.once('error', reject);
      });
      outgoing.once('error', reject);
      outgoing.end('{"inputs":[]}');
    });
  }
}
