import { describe, it } from "vitest";
import { expectPredictedMatrices } from "../support/matrix-property";

describe("the access matrix", () => {
  it("of sixty random registries is what the plan means", () => expectPredictedMatrices(60));
});
