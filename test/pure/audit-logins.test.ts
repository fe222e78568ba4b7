import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { planAccess } from "../../components/access/plan";
import { auditLogins } from "../../ops/audit/logins";
import { services } from "../../services/registry";

const plan = planAccess(services.slice(0, 1), { database: "appdb", extensions: [] });
let server: Server;
afterEach(() => server.close());

/** A server that says an error to whoever comes. */
async function saying(code: string, message: string) {
  const fields = Buffer.from(`SFATAL\0C${code}\0M${message}\0\0`);
  const length = Buffer.alloc(4);
  length.writeInt32BE(fields.length + 4);
  server = createServer((socket) =>
    socket.on("error", () => undefined).end(Buffer.concat([Buffer.from("E"), length, fields])),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const passwords = new Map(["gtown", "gtapp", "gtuser"].map((role) => [role, "right"]));
  return auditLogins(plan, { host: "127.0.0.1", port, database: "appdb", passwords });
}

describe("a login that the audit tries", () => {
  it("is none that was let in where nobody has looked at its password: too many are there of all", async () => {
    const findings = await saying("53300", "sorry, too many clients already");
    expect(findings.map(({ role, found }) => [role, found])).toEqual(
      ["gtown", "gtapp", "gtuser"].map((role) => [role, "sorry, too many clients already"]),
    );
  });

  it("is right where only its own connections are all taken", async () => {
    expect(await saying("53300", 'too many connections for role "gtown"')).toEqual([]);
  });
});
