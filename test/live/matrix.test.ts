import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { describeSource, predictMatrix } from "../../components/access/matrix";
import { computeAccess } from "../../ops/access/compute";
import { formatDocument, parseDocument } from "../../ops/access/document";
import { formatPage } from "../../ops/access/page";
import { projectFolder, readStackSettings } from "../../ops/stack-file";
import { services } from "../../services/registry";
import { expectPredictedMatrices } from "../support/matrix-property";

const settings = readStackSettings("dev");
const committed = (name: string) => readFileSync(join(projectFolder, "services", name), "utf8");

describe("the access matrix", () => {
  it("of the registry is what the plan means, and what is committed: npm run access", async () => {
    const { plan, matrix } = await computeAccess(services, settings);
    expect(matrix).toEqual(predictMatrix(plan));
    expect(formatDocument(matrix)).toBe(committed("access.json"));
    expect(formatPage(plan, matrix)).toBe(committed("ACCESS.md"));
    expect(parseDocument(committed("access.json"), "services/access.json")).toEqual(matrix);
  });

  it("of services that read others, rest and have limits of their own is what the plan means, a sentence for each right", async () => {
    const registry = services.slice(0, 3).map((service, index) => ({
      ...service,
      ...(index === 1 ? { reads: ["gatherer"], connectionLimits: { app: 9 }, tempFileLimitMiB: 5 } : {}),
      ...(index === 2 ? { reads: ["gatherer", "aggregator"], lifecycle: "frozen" as const } : {}),
    }));
    const { plan, matrix } = await computeAccess(registry, settings);
    expect(matrix).toEqual(predictMatrix(plan));
    expect(matrix.access.map(describeSource)).toEqual(
      expect.arrayContaining([
        "owner of table gt.gt_raw_data",
        "GRANT SELECT ON TABLE gt.gt_raw_data TO aguser",
        "ALTER DEFAULT PRIVILEGES FOR ROLE gtown IN SCHEMA gt GRANT SELECT ON TABLES TO aguser",
        "ALTER DEFAULT PRIVILEGES FOR ROLE gtown REVOKE EXECUTE ON ROUTINES FROM PUBLIC",
        "REVOKE CONNECT, TEMPORARY ON DATABASE postgres FROM PUBLIC",
        "GRANT pg_read_all_data TO app",
        "member of pg_read_all_data",
      ]),
    );
    expect(formatPage(plan, matrix)).toContain("| `aguser` | table `gt.gt_raw_data` | SELECT |");
  });

  it("of random registries is what the plan means: three here, sixty nightly", () => expectPredictedMatrices(3));
});
