/** Who may send requests to replicas. */
export interface RouterSources {
  /** The namespace where routers run; null = none runs in this cluster. */
  readonly namespace: string | null;
  /** Addresses of routers outside, as CIDRs. */
  readonly cidrs: readonly string[];
}

/** What manifests take from the installation. */
export interface ManifestSettings {
  readonly installation: string;
  /** Namespaces of teams are called `<prefix>-<team>`. */
  readonly namespacePrefix: string;
  /** The image that serves ONNX models; null = this cluster serves none. */
  readonly modelServerImage: string | null;
  readonly routerSources: RouterSources;
}
