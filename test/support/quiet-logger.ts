import { makeLogger, type Logger } from '../../src/telemetry/logger.ts';

/** A logger that says nothing. */
export const quietLogger: Logger = makeLogger('test', 'silent');
