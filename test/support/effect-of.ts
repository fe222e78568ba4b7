import type { Plan } from "../../components/access/plan-items";
import { describeViolation } from "../../ops/effect-test/attempt";
import { testEffectOnProbes } from "../../ops/effect-test/effect-test";
import { createProbes, type Generation } from "../../ops/effect-test/probes";
import type { TestServer } from "./server";

/**
 * Applies `applied` to the server, objects made before and after it included, and says what the effect test finds when
 * `expected` was meant. Earlier probe objects are dropped. What a plan lacks of the platform's part an earlier plan may
 * have brought: that needs a new server.
 */
export async function effectOf(server: TestServer, applied: Plan, expected: Plan): Promise<readonly string[]> {
  const owners = applied.services.map(({ code }) => `${code}own`);
  // Roles, schemas and the platform's part, but no right on objects: what is made now can get its rights from grants only.
  const bare = {
    ...expected,
    revokes: applied.revokes,
    grants: [
      ...applied.grants.filter(({ carrier }) => carrier !== "provider"),
      ...expected.grants.filter(({ carrier, on }) => carrier === "provider" && on.type === "schema"),
    ],
    defaultPrivileges: [],
  };
  const { rowCount } = await server.superuser.query("SELECT FROM pg_roles WHERE rolname = ANY ($1)", [owners]);
  if (rowCount !== 0) await server.superuser.query(`DROP OWNED BY ${owners.join(", ")}`);
  await server.apply(bare);
  for (const { code } of expected.services) await makeProbes(server, code, "old");
  await server.apply(applied);
  for (const { code } of expected.services) await makeProbes(server, code, "new");
  const { violations } = await testEffectOnProbes(expected, server, server.superuser);
  return violations.map(describeViolation);
}

/** As the owner, without its login: a mutant may have taken that, and it is the effect on the objects that is tested. */
async function makeProbes(server: TestServer, code: string, generation: Generation): Promise<void> {
  await server.superuser.query(`SET ROLE ${code}own; SET search_path = ${code}`);
  // Without CREATE on its schema it makes none; then the attempts on them fail, which is a finding as well.
  await server.superuser.query(createProbes(code, generation)).catch(() => undefined);
  await server.superuser.query("RESET ROLE; RESET search_path");
}
