// The image that deploy/images/Dockerfile describes, made without a container engine from what is built here.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ensureBuilt } from '../../support/build.ts';
import { repository } from '../cluster/cache.ts';
import { writeNodeImage } from '../cluster/images.ts';
import type { BuiltImage } from '../cluster/oci-image.ts';
import { folderEntries } from '../cluster/tar.ts';
import { dockerfile } from './dockerfile.ts';

export const PRODUCT_IMAGE = 'purser.test/purser';

interface Stage {
  readonly stage: (target: string) => void;
}

export interface ProductImage extends BuiltImage {
  /** As pods name it: `purser.test/purser@sha256:…`. */
  readonly pinned: string;
  /** Another image of the same content, as a newer version is. */
  readonly again: (mark: string) => Promise<ProductImage>;
  /** Once it is imported nobody needs the archive. */
  readonly remove: () => void;
}

/** `mark` is the tag. */
export async function productImage(mark = 'a'): Promise<ProductImage> {
  await ensureBuilt();
  const folder = mkdtempSync(join(tmpdir(), 'purser-product-'));
  const staged = join(folder, 'staged');
  mkdirSync(staged);
  const { stage } = (await import(pathToFileURL(join(repository, 'deploy', 'images', 'stage.mjs')).href)) as Stage;
  stage(staged);
  return imageOf(folder, mark);
}

async function imageOf(folder: string, mark: string): Promise<ProductImage> {
  const staged = join(folder, 'staged');
  const { entrypoint, user, environment, workingDirectory } = dockerfile();
  const native = readdirSync(join(staged, 'app', 'node_modules'), { recursive: true, encoding: 'utf8' })
    .filter((path) => /\.(node|so(\.\d+)*)$/.test(path))
    .map((path) => join(staged, 'app', 'node_modules', path));
  const isPackage = (path: string): boolean => path === 'node_modules';
  const image = await writeNodeImage({
    name: `${PRODUCT_IMAGE}:${mark}`,
    archive: join(folder, `${mark}.tar`),
    layers: [
      folderEntries(join(staged, 'app', 'node_modules'), 'app/node_modules'),
      folderEntries(join(staged, 'app'), 'app', isPackage),
    ],
    native,
    entrypoint,
    env: { ...environment, PURSER_IMAGE_MARK: mark },
    workingDirectory,
    user,
  });
  const remove = () => rmSync(folder, { recursive: true, force: true });
  return { ...image, pinned: `${PRODUCT_IMAGE}@${image.digest}`, again: (other) => imageOf(folder, other), remove };
}
