/** Where to log in; every role comes from outside, over TCP. */
export interface LoginTarget {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  /** Password by role name. */
  readonly passwords: ReadonlyMap<string, string>;
  /** What the server's certificate is verified with. @default the logins are not encrypted */
  readonly authority?: string;
}
