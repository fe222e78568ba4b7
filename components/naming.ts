/** Docker names of a stack, all starting with its prefix. Pure. */
export interface Names {
  readonly network: string;
  readonly primary: string;
  readonly primaryVolume: string;
}

/** `pg16` gives `pg16`, `pg16-primary`, `pg16-primary-data`. */
export function dockerNames(prefix: string): Names {
  return { network: prefix, primary: `${prefix}-primary`, primaryVolume: `${prefix}-primary-data` };
}
