import { superuserRole } from "../../components/access/plan-items";
import type { Platform } from "../../ops/restore/platform";
import type { TestCluster } from "./cluster";
import { fakePassword } from "./mocks";

/** A cluster as `npm run ops -- restore` sees a stack. */
export function platformOn(cluster: TestCluster, name = "dev"): Platform {
  const { passwords, ...target } = cluster.target(cluster.settings.primaryNode);
  return {
    stack: { name, settings: cluster.settings, dockerHost: undefined },
    plan: cluster.plan,
    logins: { ...target, passwords: new Map([...passwords, [superuserRole, fakePassword("postgres-password")]]) },
  };
}
