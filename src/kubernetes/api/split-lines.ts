import { StringDecoder } from 'node:string_decoder';
import { KubernetesUnreachable } from './errors.ts';

/** No line is longer: an object is at most 1.5 MiB in etcd, and half as much again as JSON. Higher: garbage fills the memory. */
const MAX_LINE_CHARACTERS = 8 * 1024 * 1024;

/** Cuts a stream of bytes into whole lines; `end` says whether the last one was whole. */
export class LineSplitter {
  readonly #decoder = new StringDecoder('utf8');
  #rest: string[] = [];
  #restLength = 0;

  /** The lines that this chunk completed. Throws `KubernetesUnreachable` for a line without end. */
  push(chunk: Buffer): string[] {
    const text = this.#decoder.write(chunk);
    const end = text.lastIndexOf('\n');
    if (end < 0) {
      this.#keep(text);
      return [];
    }
    const whole = this.#rest.join('') + text.slice(0, end);
    this.#rest = [];
    this.#restLength = 0;
    this.#keep(text.slice(end + 1));
    return whole.split('\n').filter((line) => line !== '');
  }

  /** Throws `KubernetesUnreachable` if the stream ended inside a line. */
  end(): void {
    if (this.#restLength > 0) throw new KubernetesUnreachable('connection', 'the watch was cut within an event');
  }

  #keep(text: string): void {
    if (text === '') return;
    this.#rest.push(text);
    this.#restLength += text.length;
    if (this.#restLength > MAX_LINE_CHARACTERS)
      throw new KubernetesUnreachable('garbage', `a watch sent a line of more than ${MAX_LINE_CHARACTERS} characters`);
  }
}
