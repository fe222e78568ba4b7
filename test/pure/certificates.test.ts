import { beforeAll, describe, expect, it } from "vitest";
import { serverNames } from "../../components/cluster/configuration/server-names";
import type { GivenCertificates } from "../../components/cluster/configuration/given-certificates";
import type { NodeName } from "../../components/naming";
import { parseSettings, type Settings } from "../../components/settings-rules";
import { readStackSettings } from "../../ops/stack-file";
import { newKey, publicKeyOf, selfSigned, signed, type Request } from "../support/certificates";

const prod = readStackSettings("prod");

describe("the names in a server's certificate", () => {
  it("are loopback, its host name, the address it listens on and what the stack adds, once each", () => {
    const settings = { ...prod, bindAddress: "192.0.2.1", certificateNames: ["db.example.org", "192.0.2.1"] };
    expect(serverNames(settings, "replica")).toEqual({
      dnsNames: ["pg16-replica", "localhost", "db.example.org"],
      ipAddresses: ["127.0.0.1", "::1", "192.0.2.1"],
    });
    expect(serverNames({ ...prod, bindAddress: "0.0.0.0" }, "primary").ipAddresses).toEqual(["127.0.0.1", "::1"]);
  });
});

describe("certificates of the operator's own authority", () => {
  let authority: string;
  let authorityKey: string;
  let good: GivenCertificates;
  const request = (node: NodeName, privateKeyPem: string): Request => {
    const { dnsNames, ipAddresses } = serverNames(prod, node);
    return { commonName: node, publicKeyPem: publicKeyOf(privateKeyPem), dnsNames, ipAddresses };
  };

  beforeAll(() => {
    authorityKey = newKey();
    authority = selfSigned(authorityKey, "the operator's", true);
    const pair = (node: NodeName) => {
      const key = newKey();
      return { key, certificate: signed(request(node, key), authorityKey, authority) };
    };
    good = { authority, primary: pair("primary"), replica: pair("replica") };
  });

  const parse = (certificates: unknown) => {
    const given = { ...prod, certificates } as Record<keyof Settings, unknown>;
    return parseSettings((key) => (typeof given[key] === "string" ? given[key] : JSON.stringify(given[key])), []);
  };
  const problem = (certificates: unknown) => {
    const settings = parse(certificates);
    return "length" in settings ? settings.map(({ path, message }) => `${path}: ${message}`) : [];
  };
  const withPrimary = (pair: Partial<GivenCertificates["primary"]>) => ({
    ...good,
    primary: { ...good.primary, ...pair },
  });

  it("are taken as they are", () => {
    expect(parse(good)).toMatchObject({ certificates: good });
  });

  it("are taken with an authority in between, and with two authorities during a change", () => {
    const betweenKey = newKey();
    const names = { commonName: "between", publicKeyPem: publicKeyOf(betweenKey), dnsNames: [], ipAddresses: [] };
    const between = signed(names, authorityKey, authority, {}, true);
    const leaf = signed(request("primary", good.primary.key), betweenKey, between);
    expect(problem(withPrimary({ certificate: `${leaf}\n${between}` }))).toEqual([]);
    expect(problem(withPrimary({ certificate: leaf }))).toEqual([
      "centraldb:certificates: primary: certificate does not lead to the authority's: add those between, each after what it signed",
    ]);
    const other = selfSigned(newKey(), "another", true);
    expect(problem({ ...good, authority: `${other}\n${authority}` })).toEqual([]);
    expect(problem({ ...good, authority: other })).toEqual([
      expect.stringContaining("does not lead to the authority's"),
    ]);
  });

  it("are refused where a part is missing or none, without showing any of it", () => {
    const parts =
      "centraldb:certificates: expected nothing, or authority, primary.certificate, primary.key, replica.certificate " +
      "and replica.key, each in PEM, got something else, not shown; see its description in Pulumi.yaml";
    const { certificate } = good.primary;
    const { authority: trusted, primary } = good;
    const incomplete = [
      { authority: trusted, primary },
      { ...good, more: "" },
      { ...good, primary: { certificate } },
    ];
    for (const bad of [...incomplete, good.primary.key, 7]) {
      expect(problem(bad)).toEqual([parts]);
    }
    expect(problem({ ...good, authority: "x" })).toEqual([
      "centraldb:certificates: authority is no certificate in PEM",
    ]);
    expect(problem(withPrimary({ certificate: good.primary.key }))).toEqual([
      "centraldb:certificates: primary: certificate is none in PEM",
    ]);
    expect(problem(withPrimary({ key: "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----" }))).toEqual([
      "centraldb:certificates: primary: key is no private key in PEM without a passphrase",
    ]);
  });

  it("are refused where the key is another's, a name is missing, or their time is over", () => {
    expect(problem(withPrimary({ key: good.replica.key }))).toEqual([
      "centraldb:certificates: primary: key is not the certificate's",
    ]);
    const { key } = good.primary;
    const few = { ...request("primary", key), dnsNames: ["localhost"], ipAddresses: ["127.0.0.1"] };
    expect(problem(withPrimary({ certificate: signed(few, authorityKey, authority) }))).toEqual([
      "centraldb:certificates: primary: certificate lacks pg16-primary, ::1 among its subject alternative names",
    ]);
    const past = { notBefore: new Date("2020-01-01"), notAfter: new Date("2021-01-01") };
    expect(
      problem(withPrimary({ certificate: signed(request("primary", key), authorityKey, authority, past) })),
    ).toEqual(["centraldb:certificates: primary: certificate has expired on Jan  1 00:00:00 2021 GMT"]);
  });
});
