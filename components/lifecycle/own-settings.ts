import { describeRoleSetting, identifier } from "../access/describe";
import type { Plan, PlannedRole } from "../access/plan-items";
import { ownSettings, settingsOf } from "../access/role-settings";

/** What a role has as its settings, whoever set them; see own-settings.sql. */
export interface FoundSettings {
  readonly role: string;
  /** The database in which they hold; null: in every one. */
  readonly database: string | null;
  /** Values by name; null where they are too long to be read. */
  readonly settings: Readonly<Record<string, string>> | null;
}

/** A password whose verifier is longer than any that is one; see own-settings.sql. */
export interface LongPassword {
  readonly role: string;
  readonly passwordBytes: number;
}

/** What has to be done before anything else, and what is said of it, a sentence each; both empty where nothing differs. */
export interface SetBack {
  readonly notices: readonly string[];
  /** SQL for a superuser, each without its semicolon. */
  readonly statements: readonly string[];
}

/**
 * A role may change its own settings: to what the provider cannot read, which fails at it behind the change it has made, or to what
 * keeps the role from logging in, at which every rotation fails. What a service's role has and the plan does not is set back; what
 * is missing keeps nobody from anything. A password that fills the memory of everybody who looks the role up is taken away.
 */
export function settingsBack(plan: Plan, found: readonly (FoundSettings | LongPassword)[]): SetBack {
  const each = found.flatMap((own) => {
    const role = plan.roles.find(({ name, of }) => name === own.role && of !== null);
    if (role === undefined) return [];
    if ("passwordBytes" in own) return [withoutPassword(own)];
    const notices = differences(plan, own);
    return notices.length === 0 ? [] : [{ notices, statements: asPlanned(plan, role, own) }];
  });
  return {
    notices: each.flatMap(({ notices }) => notices),
    statements: each.flatMap(({ statements }) => statements),
  };
}

const withoutPassword = ({ role, passwordBytes }: LongPassword): SetBack => ({
  notices: [
    `${role} has set itself a password whose verifier is ${passwordBytes} bytes: up takes it away, another rotation gives it one`,
  ],
  statements: [`ALTER ROLE ${identifier(role)} PASSWORD NULL`],
});

function differences(plan: Plan, { role, database, settings }: FoundSettings): readonly string[] {
  const where = database === null ? "" : ` in database ${database}`;
  if (settings === null) return [`${role} has set its settings${where}: up sets them back`];
  // The plan has none of one database.
  const planned = new Map(database === null ? settingsOf(plan, role) : []);
  return Object.entries(settings)
    .filter(([name, value]) => planned.get(name) !== value)
    .map(([name]) =>
      // It may be the plan that has changed.
      planned.has(name)
        ? `${role} has another ${name} than the plan: up sets it to the plan's`
        : `${role} has set its ${name}${where}: up sets it back`,
    );
}

/** All of them: to RESET one by its name, PostgreSQL would have to know it. */
function asPlanned(plan: Plan, role: PlannedRole, { database }: FoundSettings): readonly string[] {
  const quoted = identifier(role.name);
  if (database !== null) return [`ALTER ROLE ${quoted} IN DATABASE ${identifier(database)} RESET ALL`];
  return [
    `ALTER ROLE ${quoted} RESET ALL`,
    ...ownSettings(role).map(([name, value]) => `ALTER ROLE ${quoted} SET ${name} = ${value}`),
    ...plan.roleSettings
      .filter((item) => item.role === role.name)
      .map((item) => `ALTER ROLE ${describeRoleSetting(item)}`),
  ];
}
