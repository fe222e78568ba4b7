import { createPrivateKey, X509Certificate } from "node:crypto";
import { nodeNames, type NodeName } from "../../naming";
import type { ServerNames } from "./server-names";

/** A certificate with what follows it up to the authority's, and its private key, in PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** Certificates of an authority of the operator's own. */
export interface GivenCertificates extends Readonly<Record<NodeName, KeyPair>> {
  /** What clients trust, in PEM; several during a change of authority. */
  readonly authority: string;
}

/** The value of `centraldb:certificates`; undefined where a part is missing or is no text. */
export function asGivenCertificates(value: unknown): GivenCertificates | undefined {
  const { authority, primary, replica, ...others } = asRecord(value);
  const pairs = [primary, replica].map(asRecord);
  const texts = [authority, ...pairs.flatMap(({ certificate, key }) => [certificate, key])];
  const extra = [others, ...pairs].flatMap(Object.keys).filter((name) => !["certificate", "key"].includes(name));
  return texts.every((text) => typeof text === "string") && extra.length === 0
    ? (value as GivenCertificates)
    : undefined;
}

/** Why a server could not serve with them, or its clients would not trust it; "" where all is well. No key is in the text. */
export function whyNotServed(given: GivenCertificates, namesOf: (node: NodeName) => ServerNames, now: Date): string {
  const authorities = certificatesIn(given.authority);
  if (authorities === undefined) return "authority is no certificate in PEM";
  for (const node of nodeNames) {
    const why = whyPairIsNone(given[node], authorities, namesOf(node), now);
    if (why !== "") return `${node}: ${why}`;
  }
  return "";
}

function whyPairIsNone(
  { certificate, key }: KeyPair,
  authorities: readonly X509Certificate[],
  { dnsNames, ipAddresses }: ServerNames,
  now: Date,
): string {
  const chain = certificatesIn(certificate);
  const [leaf] = chain ?? [];
  if (chain === undefined || leaf === undefined) return "certificate is none in PEM";
  const secret = privateKey(key);
  if (secret === undefined) return "key is no private key in PEM without a passphrase";
  if (!leaf.checkPrivateKey(secret)) return "key is not the certificate's";
  if (new Date(leaf.validTo) <= now) return `certificate has expired on ${leaf.validTo}`;
  const issuers = chain.slice(1).map((issuer) => [issuer]);
  const unsigned = chain.findIndex(
    (signed, index) => !(issuers[index] ?? authorities).some((issuer) => signed.verify(issuer.publicKey)),
  );
  if (unsigned !== -1)
    return "certificate does not lead to the authority's: add those between, each after what it signed";
  const missing = [
    ...dnsNames.filter((name) => leaf.checkHost(name, { subject: "never" }) === undefined),
    ...ipAddresses.filter((address) => leaf.checkIP(address) === undefined),
  ];
  return missing.length === 0 ? "" : `certificate lacks ${missing.join(", ")} among its subject alternative names`;
}

function certificatesIn(pem: string): readonly X509Certificate[] | undefined {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    return blocks.length === 0 ? undefined : blocks.map((block) => new X509Certificate(block));
  } catch {
    return undefined;
  }
}

function privateKey(pem: string) {
  try {
    return createPrivateKey(pem);
  } catch {
    return undefined;
  }
}

function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : {};
}
