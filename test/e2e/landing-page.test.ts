// The built dashboard of a whole installation, driven in Debian's Chromium as a person would.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Browser, Locator, Page } from 'playwright-core';
import { builtNode } from '../support/build.ts';
import { missingBrowser, openBrowser } from '../support/browser.ts';
import { eventually } from '../support/eventually.ts';
import { startInstallation, type Installation } from '../support/installation.ts';
import { ask, change, deployVersion } from '../support/live-system.ts';

const PATIENT = { timeout: 60_000 };
const LONG = 'a-name-as-long-as-names-may-be-so-that-it-fits-into-no-column';

const REGISTER = `mutation ($project: String!, $name: String!) { registerModel(input: { project: { path: $project }, name: $name })
  { model { name } userErrors { message } } }`;
const VERSION = `mutation ($input: RegisterModelVersionInput!) { registerModelVersion(input: $input) { modelVersion { number } userErrors { message } } }`;
const PRINCIPAL = `mutation ($input: CreatePrincipalInput!) { createPrincipal(input: $input) { principal { id } userErrors { message } } }`;
const TOKEN = `mutation ($input: CreateTokenInput!) { createToken(input: $input) { token { id } secret userErrors { message } } }`;
const REVOKE = `mutation ($token: ID!) { revokeToken(input: { token: $token }) { userErrors { message } } }`;
const TEAM = `mutation ($name: String!) { createTeam(input: { name: $name }) { team { id } userErrors { message } } }`;
const PROJECT = `mutation ($team: String!, $name: String!) { createProject(input: { team: { path: $team }, name: $name }) { project { id } userErrors { message } } }`;

describe.skipIf(missingBrowser)(missingBrowser ?? 'Landing page in Chromium', () => {
  let purser: Installation;
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];
  const addresses: string[] = [];

  beforeAll(async () => {
    [purser, browser] = await Promise.all([startInstallation({ env: { PURSER_ALLOW_PROCESS: '1' } }), openBrowser()]);
    page = await watched();
  });
  afterAll(async () => {
    await browser.close();
    await purser.remove();
  });

  /** A page in a browser profile of its own, whose failures and requests are noted. */
  async function watched(viewport = { width: 1280, height: 800 }): Promise<Page> {
    const context = await browser.newContext({ viewport });
    const opened = await context.newPage();
    opened.on('pageerror', (error) => problems.push(error.message));
    opened.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) problems.push(message.text());
    });
    opened.on('request', (request) => addresses.push(request.url()));
    opened.on('websocket', (socket) => addresses.push(socket.url().replace(/^ws/, 'http')));
    return opened;
  }

  async function signIn(on: Page, token: string): Promise<void> {
    await on.getByLabel('Token').fill(token);
    await on.getByRole('button', { name: 'Sign in' }).click();
  }

  async function openSignedIn(token: string, viewport?: { width: number; height: number }): Promise<Page> {
    const opened = await watched(viewport);
    await opened.goto(purser.apiUrl);
    await signIn(opened, token);
    await opened.getByText('● live').waitFor();
    return opened;
  }

  const createTeam = (name: string) => change(purser, TEAM, { name });
  const rowOf = (path: string): Locator => page.getByRole('table', { name: 'Deployments' }).getByRole('row', { name: path });

  /** A service account with one role, and a token for it. */
  async function createToken(name: string, grant: object): Promise<{ readonly secret: string; readonly id: string }> {
    const { principal } = await change<{ principal: { id: string } }>(purser, PRINCIPAL, { input: { name, grants: [grant] } });
    const made = await change<{ token: { id: string }; secret: string }>(purser, TOKEN, {
      input: { name, principal: principal.id },
    });
    return { secret: made.secret, id: made.token.id };
  }

  async function deployScript(project: string, name: string, script: string): Promise<void> {
    await change(purser, REGISTER, { project, name });
    const command = [builtNode, '-e', script];
    const resources = { cpuMilli: 100, memoryMib: 128 };
    await change(purser, VERSION, { input: { model: { path: `${project}/${name}` }, process: { command }, resources } });
    await deployVersion(purser, { project: { path: project }, name, model: name });
  }

  describe('Landing page: signing in', () => {
    test.each(['purser_admin_wrong', 'not € a token'])('a wrong token, %s, is refused in words and not kept', async (token) => {
      await page.goto(purser.apiUrl);
      await signIn(page, token);
      await page.getByRole('alert').getByText('unknown, expired or revoked').waitFor();
      expect(await page.evaluate(() => sessionStorage.length)).toBe(0);
    });

    test('the right one lets in, from the keyboard alone', async () => {
      await page.goto(purser.apiUrl);
      await page.locator('input:focus').waitFor();
      await page.keyboard.type(purser.adminToken);
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'Deployments' }).waitFor();
      const reached: (string | null)[] = [];
      for (let step = 0; step < 3; step += 1) {
        await page.keyboard.press('Tab');
        reached.push(await page.evaluate<string | null>('document.activeElement.textContent'));
      }
      expect(reached).toEqual(['Overview', 'GraphiQL', 'Sign out']);
    });

    test('the token is kept for the tab, and nowhere else', async () => {
      const kept = await page.evaluate('[Object.values(sessionStorage), localStorage.length, document.cookie]');
      expect(kept).toEqual([[purser.adminToken], 0, '']);
      await page.reload();
      await page.getByRole('heading', { name: 'Deployments' }).waitFor();
    });
  });

  describe('Landing page: deployments, models and costs', () => {
    test('the deployment is there with its state, replicas and version', async () => {
      const row = rowOf('example/demo/digits');
      await row.getByText('READY').waitFor();
      expect(await row.innerText()).toMatch(/1 of 1 serving/);
      expect(await row.innerText()).toMatch(/digits version 1/);
      expect(await page.getByRole('table', { name: 'Models' }).innerText()).toMatch(/example\/demo\/digits\s+1\s+ONNX/);
    });

    test('amounts are shown to the last digit that the API gives', async () => {
      const total = page.getByTestId('total').locator('data');
      await eventually(async () => {
        const [shown, exact] = [await total.innerText(), await total.getAttribute('value')];
        return /^0\.\d{6,12}$/.test(exact ?? '') && shown === `$${exact}`;
      });
      const { deployment } = await ask<{ deployment: { monthlyEstimate: { amount: string } } }>(
        purser,
        `{ deployment(by: { path: "example/demo/digits" }) { monthlyEstimate { amount } } }`,
      );
      const monthly = rowOf('example/demo/digits').getByRole('cell').last();
      expect(await monthly.innerText()).toBe(`$${deployment.monthlyEstimate.amount}`);
    });

    test('a deployment that fails says why, by itself', async () => {
      await deployScript('example/demo', 'broken', 'process.exit(3)');
      const row = rowOf('example/demo/broken');
      await row.getByText('FAILED').waitFor(PATIENT);
      await row.getByText('its process ended with status 3').waitFor();
      await page.getByText('Deployment example/demo/broken is FAILED; it was DEPLOYING.').waitFor();
    });

    test('what is made while the page is open appears with its steps and gets ready', async () => {
      await deployVersion(purser, { project: { path: 'example/demo' }, name: 'second', model: 'digits' });
      await page.getByText('Rollout of example/demo/second to revision 1 is starting.').waitFor();
      await rowOf('example/demo/second').getByText('READY').waitFor(PATIENT);
      await page.getByText('Rollout of example/demo/second to revision 1 is done.').waitFor();
    });

    test('long names break no layout, on a narrow screen neither', async () => {
      await createTeam(LONG);
      await change(purser, PROJECT, { team: LONG, name: LONG });
      await deployScript(`${LONG}/${LONG}`, LONG, 'process.exit(1)');
      for (const width of [1280, 390]) {
        const opened = await openSignedIn(purser.adminToken, { width, height: 800 });
        await opened.getByRole('table', { name: 'Deployments' }).getByText(`${LONG}/${LONG}/${LONG}`).first().waitFor();
        expect(await opened.evaluate('document.documentElement.scrollWidth')).toBe(width);
        await opened.context().close();
      }
    });
  });

  describe('Landing page: who sees what', () => {
    test('a viewer sees the project that it may see, and no other', async () => {
      const { secret } = await createToken('watcher', { role: 'VIEWER', project: { path: 'example/demo' } });
      const opened = await openSignedIn(secret);
      const deployments = opened.getByRole('table', { name: 'Deployments' });
      await deployments.getByRole('row', { name: 'example/demo/digits' }).waitFor();
      expect(await deployments.innerText()).not.toContain(LONG);
      expect(await opened.getByRole('log').innerText()).not.toContain(LONG);
      await opened.context().close();
    });

    test('where there is nothing to see the next step is named', async () => {
      await createTeam('empty');
      const { secret } = await createToken('newcomer', { role: 'VIEWER', team: { path: 'empty' } });
      const opened = await openSignedIn(secret);
      await opened.getByText('purser deploy TEAM/PROJECT/NAME --plan').waitFor();
      expect(await opened.getByTestId('total').innerText()).toBe('$0.00');
      await opened.context().close();
    });

    test('a token that is revoked while the page is open leads back to the sign-in', async () => {
      const { secret, id } = await createToken('leaver', { role: 'VIEWER', project: { path: 'example/demo' } });
      const opened = await openSignedIn(secret);
      await change(purser, REVOKE, { token: id });
      await opened.getByRole('alert').getByText('unknown, expired or revoked').waitFor();
      expect(await opened.evaluate(() => sessionStorage.length)).toBe(0);
      await opened.context().close();
    });
  });

  describe('Landing page: events', () => {
    test('an event appears by itself, without a reload', async () => {
      await createTeam('seen-live');
      await page.getByText('Team seen-live was created.').waitFor();
    });

    test.each(['SIGKILL', 'SIGTERM'] as const)(
      'events go on after the control plane ended by %s: what happened meanwhile appears, once',
      async (signal) => {
        process.kill(purser.pidOf('serve'), signal);
        const name = `seen-after-${signal.toLowerCase()}`;
        await eventually(() => createTeam(name), 60_000);
        await page.getByText(`Team ${name} was created.`).waitFor(PATIENT);
        expect(await page.getByText(`Team ${name} was created.`).count()).toBe(1);
        expect(await page.getByText('Team seen-live was created.').count()).toBe(1);
        await page.getByText('● live').waitFor();
      },
    );

    test('while the control plane does not answer the page says of when it is, and recovers', async () => {
      const pid = purser.pidOf('serve');
      process.kill(pid, 'SIGSTOP');
      await page
        .getByRole('status')
        .getByText(/does not answer\. This is how it was at .*; trying again/)
        .waitFor(PATIENT);
      await rowOf('example/demo/digits').waitFor();
      process.kill(pid, 'SIGCONT');
      await eventually(async () => (await page.getByRole('status').innerText()).trim() === '', 60_000);
    });
  });

  describe('Landing page: GraphiQL', () => {
    test('runs a query with the same sign-in', async () => {
      await page.getByRole('link', { name: 'GraphiQL' }).click();
      await page.getByText('monthlyEstimate').first().waitFor(PATIENT);
      await page.getByRole('button', { name: /Execute query/ }).click();
      await page.getByRole('menuitem', { name: 'Deployments' }).click();
      await page.getByText('example/demo/digits').first().waitFor();
    });

    test('runs a subscription that shows what happens', async () => {
      await page.getByRole('button', { name: /Execute query/ }).click();
      await page.getByRole('menuitem', { name: 'Events' }).click();
      await page.getByRole('button', { name: /Stop query/ }).waitFor();
      await createTeam('seen-in-graphiql');
      await page.getByText('Team seen-in-graphiql was created.').waitFor();
    });

    test('keeps no token, and the sign-out holds for both pages', async () => {
      expect(await page.evaluate(() => JSON.stringify(localStorage))).not.toContain(purser.adminToken);
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByLabel('Token').waitFor();
      await page.goto(purser.apiUrl);
      await page.getByLabel('Token').waitFor();
    });
  });

  describe('Landing page: what the browser is told', () => {
    test.each(['/', '/graphiql'])(
      '%s runs only scripts of its own, is framed by nobody, and is asked about each time',
      async (path) => {
        const { headers } = await fetch(purser.apiUrl + path);
        const policy = headers.get('content-security-policy')?.split('; ');
        expect(policy).toEqual(
          expect.arrayContaining(["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]),
        );
        expect(headers.get('x-content-type-options')).toBe('nosniff');
        expect(headers.get('referrer-policy')).toBe('no-referrer');
        expect(headers.get('cache-control')).toBe('no-cache');
      },
    );

    test('a script in the page does not run', async () => {
      await page.goto(purser.apiUrl);
      const ran = await page.evaluate(`(() => {
        const script = document.createElement('script');
        script.textContent = 'globalThis.injected = true';
        document.body.append(script);
        return 'injected' in globalThis;
      })()`);
      expect(ran).toBe(false);
      expect(problems.splice(0).join()).toMatch(/inline script/);
    });

    test('files are named by their content, kept for ever, and sent compressed to whoever takes that', async () => {
      const html = await (await fetch(`${purser.apiUrl}/`)).text();
      const assets = [...html.matchAll(/(?:src|href)="(\/[^"]*)"/g)].map(([, asset]) => asset ?? '');
      expect(assets.length).toBeGreaterThan(1);
      for (const asset of assets) {
        expect(asset).toMatch(/^\/assets\/[\w.-]+-[\w-]{8}\.(js|css)$/);
        const [packed, plain] = await Promise.all(
          ['gzip', 'identity'].map((coding) => fetch(purser.apiUrl + asset, { headers: { 'accept-encoding': coding } })),
        );
        expect([packed?.headers.get('content-encoding'), plain?.headers.get('content-encoding')]).toEqual(['gzip', null]);
        expect(packed?.headers.get('content-type')).toBe(plain?.headers.get('content-type'));
        expect(packed?.headers.get('vary')).toBe('Accept-Encoding');
        expect(packed?.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
        expect(await packed?.text()).toBe(await plain?.text());
      }
      const missing = await fetch(`${purser.apiUrl}/assets/missing-12345678.js`);
      expect([missing.status, missing.headers.get('cache-control')]).toEqual([404, null]);
    });

    test('nothing was asked elsewhere, no address held the token, no script failed', () => {
      const own = (address: string) => address.startsWith(`${purser.apiUrl}/`) || /^(data|blob):/.test(address);
      expect(addresses.filter((address) => !own(address) || address.includes(purser.adminToken))).toEqual([]);
      expect(problems).toEqual([]);
    });
  });
});
