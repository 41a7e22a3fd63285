import { join } from 'node:path';
import express, { type RequestHandler, type Response } from 'express';

/** Nothing from elsewhere runs or is asked, nobody frames us, no form leaves: each thing that a page needs is named. */
const policy = (...allowed: readonly string[]): string =>
  ["default-src 'none'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", ...allowed].join('; ');

/** What is not a page needs nothing at all. */
export const CLOSED_POLICY = policy();

const PAGE_POLICY = policy("script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'");

/** The code editor makes its styles as it runs, works in workers and carries its fonts in its style sheet. */
const EDITOR_POLICY = policy(
  "script-src 'self'",
  "worker-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
);

/** A file whose name changes with its content may be kept for ever; a page is asked about each time. */
const KEPT = 'public, max-age=31536000, immutable';
const ASKED = 'no-cache';

/** The built pages below `folder` and what they load. */
export function serveDashboard(folder: string): RequestHandler {
  const page = (file: string, contentPolicy: string): RequestHandler => {
    return (_request, response) => {
      response.setHeader('Content-Security-Policy', contentPolicy);
      response.setHeader('Cache-Control', ASKED);
      response.sendFile(join(folder, file), { cacheControl: false });
    };
  };
  return express
    .Router()
    .get('/', page('index.html', PAGE_POLICY))
    .get('/graphiql', page('graphiql.html', EDITOR_POLICY))
    .use(
      '/assets',
      preferCompressed,
      express.static(join(folder, 'assets'), { index: false, redirect: false, cacheControl: false, setHeaders }),
    );
}

/** The text files have a compressed copy from the build; a browser that takes it gets it under the file's own name. */
const preferCompressed: RequestHandler = (request, response, next) => {
  const [, type] = /\.(js|css)$/.exec(request.path) ?? [];
  if (type === undefined) {
    next();
    return;
  }
  response.vary('Accept-Encoding');
  if (request.acceptsEncodings('gzip')) {
    request.url = `${request.path}.gz`;
    response.locals.type = type;
  }
  next();
};

/** Named here once: the type is that of the file, whichever copy is sent. */
function setHeaders(response: Response): void {
  response.setHeader('Cache-Control', KEPT);
  if (typeof response.locals.type !== 'string') return;
  response.type(response.locals.type);
  response.setHeader('Content-Encoding', 'gzip');
}
