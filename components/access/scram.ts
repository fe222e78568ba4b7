import { createHash, createHmac, pbkdf2Sync } from "node:crypto";

/** PostgreSQL's own number (`scram_iterations`). */
const iterations = 4096;

/** Whether a password is long and plain enough to be a generated one. */
export function isGenerated(password: string): boolean {
  return /^[A-Za-z0-9]{24,}$/.test(password);
}

/**
 * The verifier PostgreSQL stores for a password, so that the password itself is never sent, logged or compared:
 * `SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>` (RFC 5802, RFC 7677).
 *
 * The salt is derived from role and password, so that the same password always gives the same verifier and `pulumi up`
 * sees no change. That is sound only for generated passwords: a hash of a guessable one could be searched.
 */
export function scramVerifier(role: string, password: string): string {
  if (!isGenerated(password)) {
    throw new RangeError(`the password of ${role} must be generated: at least 24 ASCII letters and digits`);
  }
  const salt = createHash("sha256").update(`${role}\0${password}`).digest().subarray(0, 16);
  const salted = pbkdf2Sync(password, salt, iterations, 32, "sha256");
  const key = (label: string) => createHmac("sha256", salted).update(label).digest();
  const storedKey = createHash("sha256").update(key("Client Key")).digest("base64");
  return `SCRAM-SHA-256$${iterations}:${salt.toString("base64")}$${storedKey}:${key("Server Key").toString("base64")}`;
}
