import { Agent, request } from 'node:http';

export interface LoadAnswer {
  readonly status: number;
  readonly requestId: string | undefined;
  readonly revision: string | undefined;
}

/** Callers over kept-alive connections, one request after the other, until told to stop. */
export class Load {
  readonly answers: LoadAnswer[] = [];
  readonly failures: Error[] = [];
  readonly #agent: Agent;
  readonly #callers: Promise<void>[];
  readonly #body: string;
  #stopped = false;

  constructor(url: string, headers: Record<string, string>, callers: number, body = '{"inputs":[]}') {
    this.#body = body;
    this.#agent = new Agent({ keepAlive: true, maxSockets: callers });
    this.#callers = Array.from({ length: callers }, () => this.#call(url, headers));
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#callers);
    this.#agent.destroy();
  }

  /** Answers that are no 200 and requests without an answer, in words. */
  get failed(): readonly string[] {
    const refused = this.answers.filter(({ status }) => status !== 200).map(({ status }) => `status ${status}`);
    return [...refused, ...this.failures.map((error) => error.message)];
  }

  async #call(url: string, headers: Record<string, string>): Promise<void> {
    while (!this.#stopped) {
      await this.#once(url, headers).then(
        (answer) => this.answers.push(answer),
        (error: unknown) => {
          this.failures.push(error as Error);
          if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') this.#stopped = true;
        },
      );
    }
  }

  #once(url: string, headers: Record<string, string>): Promise<LoadAnswer> {
    return new Promise((resolve, reject) => {
      const outgoing = request(url, { method: 'POST', headers, agent: this.#agent }, (answer) => {
        answer.resume();
        const header = (name: string) => answer.headers[name] as string | undefined;
        const stamps = { requestId: header('purser-request-id'), revision: header('purser-revision') };
        answer.once('end', () => resolve({ status: answer.statusCode ?? 0, ...stamps }));
        answer.once('error', reject);
      });
      outgoing.once('error', reject);
      outgoing.end(this.#body);
    });
  }
}
