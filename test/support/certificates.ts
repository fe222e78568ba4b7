import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes } from "node:crypto";
import { isIP } from "node:net";
import forge from "node-forge";

/** What a certificate is asked for, in the words of the tls provider. */
export interface Request {
  readonly commonName: string;
  readonly publicKeyPem: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

export interface Validity {
  readonly notBefore?: Date;
  readonly notAfter?: Date;
}

const made = new Map<string, string>();

/** What `make` gave for this name the first time. */
export function remember(name: string, make: () => string): string {
  const known = made.get(name) ?? make();
  made.set(name, known);
  return known;
}

/** A private key in PEM. */
export function newKey(): string {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return String(privateKey.export({ type: "pkcs8", format: "pem" }));
}

/** The public half of a private key, in PEM. */
export function publicKeyOf(keyPem: string): string {
  return String(createPublicKey(keyPem).export({ type: "spki", format: "pem" }));
}

/** The certificate of a key, signed by itself. */
export function selfSigned(keyPem: string, commonName: string, isCa: boolean, validity?: Validity): string {
  const request = { commonName, publicKeyPem: publicKeyOf(keyPem), dnsNames: [], ipAddresses: [] };
  return sign(request, keyPem, [{ shortName: "CN", value: commonName }], isCa, validity);
}

/** A server's certificate, or that of an authority in between, signed by an authority. */
export function signed(request: Request, caKeyPem: string, caPem: string, validity?: Validity, isCa = false): string {
  return sign(request, caKeyPem, forge.pki.certificateFromPem(caPem).subject.attributes, isCa, validity);
}

function sign(
  { commonName, publicKeyPem, dnsNames, ipAddresses }: Request,
  issuerKeyPem: string,
  issuer: forge.pki.CertificateField[],
  isCa: boolean,
  { notBefore, notAfter }: Validity = {},
): string {
  const day = 24 * 60 * 60_000;
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = forge.pki.publicKeyFromPem(publicKeyPem);
  certificate.serialNumber = `01${randomBytes(15).toString("hex")}`;
  // As of a stack that is not of today: a test may put somebody's clock back.
  certificate.validity.notBefore = notBefore ?? new Date(Date.now() - 60 * day);
  certificate.validity.notAfter = notAfter ?? new Date(Date.now() + 365 * day);
  certificate.setSubject([{ shortName: "CN", value: commonName }]);
  certificate.setIssuer(issuer);
  const names = [...dnsNames, ...ipAddresses].map((name) =>
    isIP(name) === 0 ? { type: 2, value: name } : { type: 7, ip: name },
  );
  certificate.setExtensions([
    { name: "basicConstraints", cA: isCa, critical: true },
    ...(names.length === 0 ? [] : [{ name: "subjectAltName", altNames: names }]),
  ]);
  const pkcs1 = createPrivateKey(issuerKeyPem).export({ type: "pkcs1", format: "pem" });
  certificate.sign(forge.pki.privateKeyFromPem(String(pkcs1)), forge.md.sha256.create());
  return forge.pki.certificateToPem(certificate);
}
