import * as pulumi from "@pulumi/pulumi";
import { vi } from "vitest";
import { plain } from "./plain";
import { publicKeyOf, remember, selfSigned, newKey, signed, type Request } from "./certificates";
import { noData } from "../../components/cluster/primary-check";
import type { Survey } from "../../components/cluster/survey";
import type { Service } from "../../services/service";
import type { Settings } from "../../components/settings-rules";

/** A resource as the program declares it. */
export interface Declared {
  readonly type: string;
  readonly name: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  /** The inputs with "[secret]" in place of every secret: what a state or a preview shows. */
  readonly shown: unknown;
  readonly protect: boolean | undefined;
  readonly retainOnDelete: boolean | undefined;
  readonly deleteBeforeReplace: boolean | undefined;
  readonly ignoreChanges: readonly string[];
  readonly deletedWith: string | undefined;
  readonly parent: string | undefined;
  /** Names of what it depends on by option, sorted. */
  readonly dependsOn: readonly string[];
}

export interface Program {
  readonly resources: readonly Declared[];
  readonly outputs: Readonly<Record<string, unknown>>;
  resource(name: string): Declared;
}

/** What the random provider would answer: looks like a generated password. */
export function fakePassword(name: string): string {
  return `${name.replaceAll(/[^a-z]/g, "")}0123456789abcdefghijklmnop`;
}

type Options = pulumi.CustomResourceOptions;

/** What the tls provider would answer: real keys and certificates, the same for the same name and inputs. */
function tlsOutputs(type: string, name: string, inputs: Record<string, unknown>): object {
  const given = plain(inputs) as Record<string, string> & { subject: { commonName: string }; isCaCertificate: boolean };
  switch (type) {
    case "tls:index/privateKey:PrivateKey":
      return { privateKeyPem: pulumi.secret(remember(name, newKey)) };
    case "tls:index/selfSignedCert:SelfSignedCert": {
      const { privateKeyPem = "", subject, isCaCertificate } = given;
      const make = () => selfSigned(privateKeyPem, subject.commonName, isCaCertificate);
      return { certPem: remember(`${name} ${privateKeyPem}`, make) };
    }
    case "tls:index/certRequest:CertRequest":
      // As little as a real one does it hold the private key.
      return { certRequestPem: JSON.stringify(requestOf(given)) };
    case "tls:index/locallySignedCert:LocallySignedCert": {
      const { certRequestPem = "", caPrivateKeyPem = "", caCertPem = "" } = given;
      const make = () => signed(JSON.parse(certRequestPem) as Request, caPrivateKeyPem, caCertPem);
      return { certPem: remember(JSON.stringify(given), make) };
    }
    default:
      throw new Error(`the mocks do not know ${type}`);
  }
}

function requestOf({
  privateKeyPem = "",
  subject,
  ...names
}: Record<string, unknown> & { privateKeyPem?: string; subject: { commonName: string } }): object {
  return { ...names, commonName: subject.commonName, publicKeyPem: publicKeyOf(privateKeyPem) };
}

/** Runs index.ts under these settings and with this registry, every provider mocked, and returns what it declared. */
export async function runProgram(
  settings: Settings,
  registry: readonly Service[],
  imageId = "sha256:0123",
): Promise<Program> {
  const inputs = new Map<string, Record<string, unknown>>();
  const options = new Map<string, { type: string; opts: Options; props: unknown }>();
  await pulumi.runtime.setMocks(
    {
      newResource: ({ type, name, inputs: given }) => {
        const state = given as Record<string, unknown>;
        inputs.set(name, state);
        const outputs = type.startsWith("tls:")
          ? tlsOutputs(type, `${settings.namePrefix} ${name}`, state)
          : type === "random:index/randomPassword:RandomPassword"
            ? { result: pulumi.secret(fakePassword(name)) } // as the real provider answers
            : type === "docker:index/remoteImage:RemoteImage"
              ? { imageId }
              : {};
        return { id: `${name}-id`, state: { ...state, ...outputs } };
      },
      call: () => ({}),
    },
    "centraldb",
    "test",
    false,
    "organization",
  );
  pulumi.runtime.setAllConfig(
    Object.fromEntries(
      Object.entries(settings).map(([key, value]) => [
        `centraldb:${key}`,
        typeof value === "string" ? value : JSON.stringify(value),
      ]),
    ),
  );
  vi.resetModules();
  vi.doMock("../../services/registry", () => ({ services: registry }));
  // What runs on this machine's engine is no business of the program under test.
  const survey: Survey = {
    nodes: {},
    data: { primary: noData, replica: noData },
    network: undefined,
    volumes: [],
    schemas: undefined,
    begunDrops: [],
    ownSettings: [],
    silence: undefined,
  };
  vi.doMock("../../components/cluster/survey", () => ({ surveyEngine: () => survey }));
  vi.doMock("../../components/access/adopt-roles", () => ({ adoptRoles: () => new Set() }));
  const outputs: Record<string, unknown> = {};
  await pulumi.runtime.runInPulumiStack(async () => {
    pulumi.runtime.registerStackTransformation(({ type, name, opts, props }) => {
      options.set(name, { type, opts, props });
      return undefined;
    });
    const program = (await import("../../index.js")) as unknown as { default: () => Promise<object> };
    return Object.assign(outputs, await program.default());
  });
  await pulumi.runtime.disconnect(); // waits for every registration

  const resources = await Promise.all(
    [...options].map(async ([name, { type, opts, props }]): Promise<Declared> => ({
      type,
      name,
      inputs: inputs.get(name) ?? {},
      shown: await shown(props),
      protect: opts.protect,
      retainOnDelete: opts.retainOnDelete,
      deleteBeforeReplace: opts.deleteBeforeReplace,
      ignoreChanges: opts.ignoreChanges ?? [],
      deletedWith: opts.deletedWith === undefined ? undefined : await nameOf(opts.deletedWith),
      parent: opts.parent === undefined ? undefined : await nameOf(opts.parent),
      dependsOn: (await Promise.all(listOf(await resolved(opts.dependsOn)).map(nameOf))).sort(),
    })),
  );
  return {
    resources,
    outputs,
    resource: (name) => {
      const found = resources.find((resource) => resource.name === name);
      if (found === undefined)
        throw new Error(`no resource ${name}; there are ${[...options.keys()].slice(0, 30).join(", ")} …`);
      return found;
    },
  };
}

async function nameOf(resource: pulumi.Resource): Promise<string> {
  const urn = (await resolved(resource.urn)) ?? "";
  return urn.split("::").at(-1) ?? "";
}

function listOf(dependsOn: unknown): readonly pulumi.Resource[] {
  return (dependsOn === undefined ? [] : Array.isArray(dependsOn) ? dependsOn : [dependsOn]) as pulumi.Resource[];
}

/** The mocks forget the secretness of nested values: it is read off the inputs themselves. */
async function shown(value: unknown): Promise<unknown> {
  if (pulumi.Output.isInstance(value))
    return (await pulumi.isSecret(value)) ? "[secret]" : shown(await resolved(value));
  if (Array.isArray(value)) return Promise.all(value.map(shown));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(async ([key, nested]) => [key, await shown(nested)] as const);
  return Object.fromEntries(await Promise.all(entries));
}

/** The value of an input; an assertion inside an apply nobody awaits is none. */
export async function resolved<T>(input: pulumi.Input<T> | undefined): Promise<T | undefined> {
  return new Promise((resolve) => {
    pulumi.output(input).apply((value) => {
      resolve(value as T | undefined);
    });
  });
}
