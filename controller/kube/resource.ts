/** What the API server calls a kind, and the paths that follow from it. Pure. */

export interface Resource {
  /** '' for the core group. */
  readonly group: string;
  readonly version: string;
  readonly plural: string;
}

/** Which object: without `namespace` one of the cluster (or, for lists, of all namespaces). */
export interface ObjectName {
  readonly namespace?: string | undefined;
  readonly name: string | undefined;
  /** Such as `status`. */
  readonly subresource?: string;
}

/** Returns `/apis/apps/v1/namespaces/shop/deployments/cart/status`. */
export function pathOf(resource: Resource, { namespace, name, subresource }: ObjectName): string {
  const { group, version, plural } = resource;
  return [
    group === '' ? `/api/${version}` : `/apis/${group}/${version}`,
    ...(namespace === undefined || namespace === '' ? [] : ['namespaces', segment(namespace)]),
    plural,
    ...(name === undefined ? [] : [segment(name)]),
    ...(subresource === undefined ? [] : [subresource]),
  ].join('/');
}

function segment(name: string): string {
  return encodeURIComponent(name);
}
