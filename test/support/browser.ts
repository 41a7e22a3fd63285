import { existsSync } from 'node:fs';
import { chromium, type Browser } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';

/** Why there is no browser here; null when there is one. */
export const missingBrowser = existsSync(CHROMIUM)
  ? null
  : `skipped: no ${CHROMIUM} on this machine (Debian: apt-get install chromium)`;

/** Debian's Chromium without a window and without calls to anywhere but the page's own server. */
export const openBrowser = (): Promise<Browser> =>
  chromium.launch({
    executablePath: CHROMIUM,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
