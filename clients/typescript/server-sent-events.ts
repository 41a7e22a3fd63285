export interface ServerSentEvent {
  readonly event: string;
  readonly data: string;
}

/** The messages of an event stream (WHATWG "Server-sent events"); comments and empty messages are passed over. */
export async function* readServerSentEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const decoder = new TextDecoder();
  let pending = '';
  for await (const chunk of body) {
    pending += decoder.decode(chunk, { stream: true });
    const messages = pending.split('\n\n');
    pending = messages.pop() ?? '';
    for (const text of messages) {
      const message = parseMessage(text);
      if (message) yield message;
    }
  }
}

function parseMessage(text: string): ServerSentEvent | null {
  const lines = text.split('\n');
  const field = (name: string) =>
    lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trim());
  const event = field('event')[0] ?? 'message';
  const data = field('data').join('\n');
  return event === 'complete' || data ? { event, data } : null;
}
