import { pino, type Logger as Pino } from 'pino';

/** Structured log; field names are stable, messages are not. Never log a token or a body. */
export type Logger = Pino;

export const makeLogger = (name: string, level: string): Logger =>
  pino(
    { name, level, redact: ['authorization', 'token', '*.authorization', '*.token'] },
    pino.destination({ fd: 2, sync: false }),
  );
