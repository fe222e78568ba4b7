import * as pulumi from "@pulumi/pulumi";
import * as tls from "@pulumi/tls";
import { dockerNames, nodeNames, type NodeName } from "../naming";
import type { Settings } from "../settings-rules";
import { serverNames } from "./configuration/server-names";

/** A certificate and its private key, in PEM; the key is secret. */
export interface CertificateAndKey {
  readonly certificate: pulumi.Output<string>;
  readonly key: pulumi.Output<string>;
}

const hoursPerDay = 24;
/** Every client has a copy of it: it changes when a person wants it to, never by itself. */
const authorityHours = 3650 * hoursPerDay;
const serverHours = 365 * hoursPerDay;
/** The first `up` within the last 90 days renews; the servers reload. */
const renewalHours = 90 * hoursPerDay;

/** What both servers show to who connects, and what verifies it: made here, or given by `centraldb:certificates`. */
export class Certificates extends pulumi.ComponentResource {
  /** What clients trust, in PEM. */
  readonly authority: pulumi.Output<string>;
  readonly of: Readonly<Record<NodeName, CertificateAndKey>>;
  /** Nobody asks for it. The postgresql provider takes an authority as text only beside a client's certificate. */
  readonly client: CertificateAndKey;

  constructor(name: string, settings: Settings, opts?: pulumi.ComponentResourceOptions) {
    super("centraldb:cluster:Certificates", name, {}, opts);
    const parent = { parent: this };
    const newKey = (key: string) =>
      new tls.PrivateKey(`${name}-${key}-key`, { algorithm: "ECDSA", ecdsaCurve: "P256" }, parent).privateKeyPem;
    const selfSigned = (key: string, privateKeyPem: pulumi.Output<string>, allowedUses: string[], isCa: boolean) =>
      new tls.SelfSignedCert(
        `${name}-${key}`,
        {
          privateKeyPem,
          isCaCertificate: isCa,
          setSubjectKeyId: true,
          // Two stacks' authorities are told apart by it.
          subject: { commonName: `centraldb ${pulumi.getStack()} ${settings.namePrefix} ${key}` },
          validityPeriodHours: authorityHours,
          allowedUses,
        },
        parent,
      ).certPem;

    const clientKey = newKey("client");
    this.client = { key: clientKey, certificate: selfSigned("client", clientKey, ["client_auth"], false) };
    const given = settings.certificates;
    if (given === null) {
      const authorityKey = newKey("authority");
      this.authority = selfSigned("authority", authorityKey, ["cert_signing", "crl_signing"], true);
      this.of = byNode((node) => {
        const key = newKey(node);
        const { dnsNames, ipAddresses } = serverNames(settings, node);
        const request = new tls.CertRequest(
          `${name}-${node}-request`,
          {
            privateKeyPem: key,
            subject: { commonName: dockerNames(settings.namePrefix)[node].container },
            dnsNames: [...dnsNames],
            ipAddresses: [...ipAddresses],
          },
          parent,
        );
        const certificate = new tls.LocallySignedCert(
          `${name}-${node}`,
          {
            certRequestPem: request.certRequestPem,
            caPrivateKeyPem: authorityKey,
            caCertPem: this.authority,
            validityPeriodHours: serverHours,
            earlyRenewalHours: renewalHours,
            allowedUses: ["digital_signature", "server_auth"],
          },
          parent,
        );
        return { key, certificate: certificate.certPem };
      });
    } else {
      this.authority = pulumi.output(given.authority);
      this.of = byNode((node) => ({
        key: pulumi.secret(given[node].key),
        certificate: pulumi.output(given[node].certificate),
      }));
    }
    this.registerOutputs({ authority: this.authority });
  }
}

function byNode<T>(make: (node: NodeName) => T): Readonly<Record<NodeName, T>> {
  const [primary, replica] = nodeNames;
  return { primary: make(primary), replica: make(replica) };
}
