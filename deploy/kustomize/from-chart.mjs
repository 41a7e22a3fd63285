// Makes the kustomize base and its component from the chart, so that they are one thing written down once:
//
//   helm template purser deploy/helm/purser --namespace purser-system --include-crds --values deploy/kustomize/values.yaml |
//     node deploy/kustomize/from-chart.mjs
//
// A test makes them again and compares.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const MADE = '# Made from the chart by deploy/kustomize/from-chart.mjs: change the chart.\n';

const NAMESPACE = `apiVersion: v1
kind: Namespace
metadata:
  name: purser-system
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/audit: restricted
    pod-security.kubernetes.io/warn: restricted
`;

/** Text of each file, by its path below this folder. */
export function filesFrom(rendered) {
  const files = new Map([['base/namespace.yaml', [NAMESPACE]]]);
  for (const document of rendered.split(/^---\n/m)) {
    const source = /^# Source: purser\/(?:templates|crds)\/(.+)$/m.exec(document)?.[1];
    if (source === undefined) continue;
    const isOperator = /^ {4}app\.kubernetes\.io\/component: operator$/m.test(document);
    const file = isOperator ? 'components/operator/operator.yaml' : `base/${source}`;
    files.set(file, [...(files.get(file) ?? []), withoutHelm(document)]);
  }
  const texts = [...files].map(([file, documents]) => [file, MADE + documents.join('---\n')]);
  return new Map([...texts, ...kustomizations([...files.keys()])]);
}

function kustomizations(files) {
  const inBase = files.filter((file) => file.startsWith('base/')).map((file) => file.slice('base/'.length));
  return [
    ['base/kustomization.yaml', kustomization('kustomize.config.k8s.io/v1beta1', 'Kustomization', inBase)],
    ['components/operator/kustomization.yaml', kustomization('kustomize.config.k8s.io/v1alpha1', 'Component', ['operator.yaml'])],
  ];
}

const kustomization = (apiVersion, kind, resources) =>
  `${MADE}apiVersion: ${apiVersion}\nkind: ${kind}\nresources:\n${resources
    .sort()
    .map((file) => `  - ${file}\n`)
    .join('')}`;

/** Nobody is told that Helm looks after it. */
const withoutHelm = (document) =>
  `${document
    .replace(/^# Source: .*\n/m, '')
    .replace(/^ *app\.kubernetes\.io\/managed-by: Helm\n/gm, '')
    .trim()}\n`;

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const [file, text] of filesFrom(readFileSync(0, 'utf8'))) {
    mkdirSync(dirname(join(here, file)), { recursive: true });
    writeFileSync(join(here, file), text);
  }
}
