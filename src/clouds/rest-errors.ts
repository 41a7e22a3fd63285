import { CloudUnknown } from './cloud-provider.port.ts';

/** Nobody could sign in. */
export class NoCredentials extends CloudUnknown {}

/** The provider answered, and will not say what was asked. */
export class RestRefused extends CloudUnknown {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}
