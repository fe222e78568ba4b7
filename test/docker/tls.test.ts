import { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serverNames } from "../../components/cluster/configuration/server-names";
import type { NodeName } from "../../components/naming";
import { services } from "../../services/registry";
import { newKey, publicKeyOf, selfSigned, signed } from "../support/certificates";
import { prepareCluster, type TestCluster } from "../support/cluster";
import { waitFor } from "../support/wait";
import { fakePassword } from "../support/mocks";
import { run } from "../support/run";

// A cluster whose stack requires encryption, as prod does.
const nodes = ["primary", "replica"] as const;
let cluster: TestCluster;

beforeAll(async () => {
  cluster = await prepareCluster(services.slice(0, 2));
  expect(await cluster.up({ tls: "required" })).toEqual({ status: 0, stdout: "", output: "" });
});
afterAll(() => cluster.clean());

/** The certificate a login was shown. */
const shownTo = (client: Client) =>
  (client as unknown as { connection: { stream: TLSSocket } }).connection.stream.getPeerX509Certificate();
const shown = async (node: NodeName): Promise<X509Certificate> => {
  const client = await cluster.login(node, "gtapp");
  const certificate = shownTo(client);
  await client.end();
  if (certificate === undefined) throw new Error("no certificate");
  return certificate;
};
const startedAt = () => nodes.map((node) => cluster.ask(node, "SELECT pg_postmaster_start_time()"));
const answer = async (login: Promise<Client>): Promise<string> => {
  try {
    await (await login).end();
    return "let in";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

describe("a login from outside a container", () => {
  it.each(nodes)("is encrypted on %s, and the certificate bears the server's names", async (node) => {
    const client = await cluster.login(node, "gtapp");
    const { rows } = await client.query("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
    expect(rows).toEqual([{ ssl: true, version: "TLSv1.3" }]);
    const certificate = shownTo(client);
    for (const name of [cluster.names[node].container, "localhost"]) {
      expect(certificate?.checkHost(name, { subject: "never" })).toBe(name);
    }
    for (const address of ["127.0.0.1", "::1"]) expect(certificate?.checkIP(address)).toBe(address);
    await client.end();
  });

  it.each(nodes)("is refused on %s where it is not encrypted, whoever it is", async (node) => {
    for (const role of ["gtown", "gtapp", "gtuser", "app", "postgres"]) {
      expect(await answer(cluster.login(node, role, undefined, undefined, false))).toMatch(
        new RegExp(`no pg_hba.conf entry for host "[0-9.]+", user "${role}", database "appdb", no encryption`),
      );
    }
  });

  it("does not let in a second role by what the first one is shown", async () => {
    expect(await answer(cluster.login("primary", "gtapp", "wrong"))).toBe(
      'password authentication failed for user "gtapp"',
    );
  });
});

describe("inside a container", () => {
  const inside = (node: NodeName, conninfo: string) => {
    const password = cluster.target(node).passwords.get("gtapp") ?? "";
    const { container } = cluster.names[node];
    const psql = ["psql", `${conninfo} user=gtapp dbname=appdb`, "-XAtc", "SELECT current_user"];
    return run("docker", ["exec", "--env", "PGPASSWORD", container, ...psql], {
      env: { ...process.env, PGPASSWORD: password },
    }).output.trim();
  };

  it("loopback needs no encryption, and still the password", () => {
    expect(inside("primary", "host=127.0.0.1 sslmode=disable")).toBe("gtapp");
    expect(inside("primary", "host=127.0.0.1 sslmode=disable password=wrong")).toContain(
      "password authentication failed",
    );
  });

  it("the other node is verified by its name on the private network, and no other name is", () => {
    const verify = "sslmode=verify-full sslrootcert=/etc/centraldb/tls/authority.crt";
    const { container } = cluster.names.replica;
    expect(inside("primary", `host=${container} ${verify}`)).toBe("gtapp");
    const address = cluster.exec("primary", "getent", "hosts", container).output.split(/\s/)[0] ?? "";
    expect(inside("primary", `host=${address} ${verify}`)).toContain(`does not match host name "${address}"`);
    expect(inside("primary", `host=${container} sslmode=disable`)).toContain("no encryption");
  });

  it.each(nodes)("the keys on %s are for the server only", (node) => {
    const keys = nodes.map((name) => `/etc/centraldb/tls/${cluster.names[name].container}.key`);
    const { output } = cluster.exec(node, "stat", "-c", "%U %a", ...keys, "/etc/centraldb/pgpass");
    expect(output).toBe("postgres 600\npostgres 600\npostgres 600\n");
    const asNobody = ["exec", "--user", "nobody", cluster.names[node].container, "cat", ...keys];
    expect(run("docker", asNobody).output).toContain("Permission denied");
  });
});

describe("replication", () => {
  it("is encrypted", () => {
    const query = "SELECT application_name, ssl FROM pg_stat_replication JOIN pg_stat_ssl USING (pid)";
    expect(cluster.ask("primary", query)).toBe(`${cluster.names.replica.container}|t`);
  });
});

describe("the jobs that try passwords", () => {
  const job = (script: string, input: object, variables: Record<string, string>) =>
    run("node", ["--import", "tsx", script], { env: { ...process.env, ...variables }, input: JSON.stringify(input) });
  const logins = (appPassword: string) =>
    job(
      "components/cluster/jobs/socket-sql.ts",
      { sql: "SELECT 1", appPassword },
      {
        NODES: nodes.map((node) => cluster.names[node].container).join(" "),
        DATABASE: "appdb",
      },
    );
  const tierLogins = (input: Record<string, string>) => {
    const { host, port, database, authority = "" } = cluster.target("primary");
    return job("components/access/jobs/check-logins.ts", input, {
      ...{ PGHOST: host, PGPORT: `${cluster.settings.replicaPort},${port}`, PGDATABASE: database, PGUSER: "postgres" },
      ...{ PGPASSWORD: fakePassword("postgres-password"), CA_CERTIFICATE: authority },
    });
  };

  it("let the right ones pass, and note since when they hold", () => {
    const { passwords } = cluster.target("primary");
    expect(logins(passwords.get("app") ?? "")).toMatchObject({ status: 0, output: "" });
    const given = Object.fromEntries(["gtown", "gtapp", "gtuser"].map((role) => [role, passwords.get(role) ?? ""]));
    expect(tierLogins(given)).toMatchObject({ status: 0, output: "" });
    const noted =
      "SELECT string_agg(role, ' ' ORDER BY role) FROM platform.password WHERE since > now() - interval '1 hour'";
    // Of services' roles those that were given, and the platform's.
    expect(cluster.ask("primary", noted)).toBe("app gtapp gtown gtuser postgres repl");
  });

  it("fail with the roles that do not get in, and say what to do", () => {
    expect(logins("wrong")).toMatchObject({
      status: 1,
      output: expect.stringContaining('password authentication failed for user "app"') as string,
    });
    const wrong = tierLogins({ gtapp: "wrong", gtuser: cluster.target("primary").passwords.get("gtuser") ?? "" });
    expect(wrong.status).toBe(1);
    expect(wrong.output).toBe(
      'a login failed: gtapp: password authentication failed for user "gtapp"\n' +
        "  a role may have changed its own password or settings (npm run ops -- audit names it), or an earlier up failed at it: " +
        "up sets its settings back, another rotation in services/registry.ts gives its service new passwords\n",
    );
  });
});

describe("another certificate", () => {
  const authorityKey = newKey();
  const authority = selfSigned(authorityKey, "the operator's", true);

  it("is shown after a reload: no server is started again, and no session ends", async () => {
    const before = startedAt();
    const session = await cluster.login("primary", "gtapp");
    const old = await shown("primary");
    expect(await cluster.up({ certificateNames: ["db.example.org"] })).toMatchObject({ status: 0 });
    for (const node of nodes) {
      expect((await shown(node)).checkHost("db.example.org", { subject: "never" })).toBe("db.example.org");
    }
    expect((await shown("primary")).fingerprint256).not.toBe(old.fingerprint256);
    expect((await session.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await session.end();
    expect(startedAt()).toEqual(before);
  });

  it("of the operator's own authority is taken in the same way, and the standby follows again with it", async () => {
    const before = startedAt();
    const pair = (node: NodeName) => {
      const key = newKey();
      const names = { ...serverNames(cluster.settings, node), commonName: node, publicKeyPem: publicKeyOf(key) };
      return { key, certificate: signed(names, authorityKey, authority) };
    };
    const certificates = { authority, primary: pair("primary"), replica: pair("replica") };
    expect(await cluster.up({ certificates })).toMatchObject({ status: 0 });
    // The login below verifies with the new authority.
    expect((await shown("replica")).fingerprint256).toBe(
      new X509Certificate(certificates.replica.certificate).fingerprint256,
    );
    cluster.ask("primary", "SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
    await waitFor(() => cluster.ask("primary", "SELECT state FROM pg_stat_replication") === "streaming");
    expect(startedAt()).toEqual(before);
  });

  it("takes the place of one that is over, with which nobody got in who verified", async () => {
    const { container } = cluster.names.primary;
    const key = newKey();
    const names = { ...serverNames(cluster.settings, "primary"), commonName: "over", publicKeyPem: publicKeyOf(key) };
    const past = { notBefore: new Date("2020-01-01"), notAfter: new Date("2021-01-01") };
    const over = signed(names, authorityKey, authority, past);
    const write = 'printf "%s" "$CRT" > "/config/tls/$NAME.crt"; printf "%s" "$KEY" > "/config/tls/$NAME.key"';
    const variables = ["--env", "CRT", "--env", "KEY", "--env", `NAME=${container}`];
    const job = [
      "run",
      "--rm",
      "--volume",
      `${cluster.names.configVolume}:/config`,
      ...variables,
      "--entrypoint",
      "bash",
    ];
    expect(
      run("docker", [...job, cluster.settings.image, "-c", write], { env: { ...process.env, CRT: over, KEY: key } })
        .output,
    ).toBe("");
    run("docker", ["kill", "--signal", "HUP", container]);
    await waitFor(async () => (await answer(cluster.login("primary", "gtapp"))) === "certificate has expired");
    cluster.forget("cluster-configuration");
    expect(await cluster.up()).toMatchObject({ status: 0 });
    expect(await answer(cluster.login("primary", "gtapp"))).toBe("let in");
  });
});
