// Runs before `npm start` and `npm test`: installs what package-lock.json names and node_modules lacks. Nothing but Node.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const lock = (file) => {
  try {
    return JSON.parse(readFileSync(new URL(`../${file}`, import.meta.url), "utf8")).packages;
  } catch {
    return {};
  }
};
const wanted = Object.entries(lock("package-lock.json")).filter(([path, { optional }]) => path !== "" && !optional);
const installed = lock("node_modules/.package-lock.json");

if (!wanted.every(([path, { version }]) => installed[path]?.version === version)) {
  console.error("installing the packages of package-lock.json …");
  const { status, error } = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], { stdio: ["ignore", 2, 2] });
  if (error) console.error(`npm ci did not run: ${error.message}`);
  process.exit(status ?? 1);
}
