/** A resource as the last update of this stack left it. */
export interface OwnResource {
  /** `docker:index/volume:Volume` */
  readonly type: string;
  /** The name the program gave it, e.g. `gatherer-schema`. */
  readonly name: string;
  readonly outputs: Readonly<Record<string, unknown>>;
}

/** Every resource of the stack's state. */
export type OwnState = readonly OwnResource[];

export const volumeType = "docker:index/volume:Volume";
export const networkType = "docker:index/network:Network";
export const containerType = "docker:index/container:Container";
export const schemaType = "postgresql:index/schema:Schema";
export const roleType = "postgresql:index/role:Role";
