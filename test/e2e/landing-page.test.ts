// The built dashboard of a whole installation, driven in Debian's Chromium as a person would.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Browser, Page } from 'playwright-core';
import { missingBrowser, openBrowser } from '../support/browser.ts';
import { eventually } from '../support/eventually.ts';
import { startInstallation, type Installation } from '../support/installation.ts';

describe.skipIf(missingBrowser)(missingBrowser ?? 'Landing page in Chromium', () => {
  let purser: Installation;
  let browser: Browser;
  let page: Page;
  const problems: string[] = [];

  beforeAll(async () => {
    [purser, browser] = await Promise.all([startInstallation(), openBrowser()]);
    page = await browser.newPage();
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('request', (request) => {
      if (!request.url().startsWith(purser.apiUrl) && !request.url().startsWith('data:') && !request.url().startsWith('blob:'))
        problems.push(`asked elsewhere: ${request.url()}`);
    });
  });
  afterAll(async () => {
    await browser.close();
    await purser.remove();
  });

  const createTeam = (name: string) =>
    fetch(`${purser.apiUrl}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${purser.adminToken}` },
      body: JSON.stringify({ query: `mutation { createTeam(input: { name: "${name}" }) { team { id } } }` }),
    });

  test('a wrong token is refused in words, the right one lets in', async () => {
    await page.goto(purser.apiUrl);
    await page.getByLabel('Token').fill('purser_admin_wrong');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('alert').getByText('unknown, expired or revoked').waitFor();
    await page.getByLabel('Token').fill(purser.adminToken);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await page.getByRole('heading', { name: 'Deployments' }).waitFor();
  });

  test('the deployment is there with its state, replicas and cost', async () => {
    const row = page.getByRole('row', { name: /example\/demo\/digits/ });
    await row.getByText('READY').waitFor();
    expect(await row.innerText()).toMatch(/1 of 1 serving/);
    expect(await page.getByTestId('total').innerText()).toMatch(/^\$\d+\.\d{2,6}$/);
  });

  test('an event appears by itself, without a reload', async () => {
    const name = 'seen-live';
    await createTeam(name);
    await page.getByText(`Team ${name} was created.`).waitFor();
  });

  test('events go on after the control plane was killed: what happened meanwhile appears, once', async () => {
    process.kill(purser.pidOf('serve'), 'SIGKILL');
    const name = 'seen-after-restart';
    await eventually(async () => {
      const made = await createTeam(name);
      expect(made.status).toBe(200);
    }, 60_000);
    await page.getByText(`Team ${name} was created.`).waitFor({ timeout: 60_000 });
    expect(await page.getByText(`Team ${name} was created.`).count()).toBe(1);
    expect(await page.getByText('Team seen-live was created.').count()).toBe(1);
  });

  test('GraphiQL runs a query with the same sign-in', async () => {
    await page.goto(`${purser.apiUrl}/graphiql`);
    await page.getByText('monthlyEstimate').first().waitFor();
    await page.getByRole('button', { name: /Execute query/ }).click();
    await page.getByText('example/demo/digits').first().waitFor();
  });

  test('nothing was loaded from elsewhere and no script failed', () => {
    expect(problems).toEqual([]);
  });
});
