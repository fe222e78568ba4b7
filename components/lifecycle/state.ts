/** A resource as the last update of this stack left it. */
export interface OwnResource {
  /** `docker:index/volume:Volume` */
  readonly type: string;
  /** The name the program gave it, e.g. `gatherer-schema`. */
  readonly name: string;
  /** What it is called where it is, e.g. `gt`; "" where it has no name there. */
  readonly called: string;
  readonly id: string;
  /** Of a container, by name. */
  readonly labels: Readonly<Record<string, string>>;
  /** Of a service's component: as what it was declared. */
  readonly lifecycle?: string;
  /** Of a role: whether it may log in. */
  readonly login?: boolean;
}

/** Every resource of the stack's state. */
export type OwnState = readonly OwnResource[];

export const volumeType = "docker:index/volume:Volume";
export const networkType = "docker:index/network:Network";
export const containerType = "docker:index/container:Container";
export const schemaType = "postgresql:index/schema:Schema";
export const serviceType = "centraldb:access:ServiceDatabase";
export const roleType = "postgresql:index/role:Role";
