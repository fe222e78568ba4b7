import { DatabaseError } from "pg";
import { expect, it } from "vitest";
import { whyRefused } from "../../components/access/login-refusal";

function refused(code: string, message: string): DatabaseError {
  const error = new DatabaseError(message, message.length, "error");
  error.code = code;
  return error;
}

it.each([
  ["53300", 'too many connections for role "gtapp"'],
  ["53300", "remaining connection slots are reserved for roles with the SUPERUSER attribute"],
])("a login had the right password where it is told %s: %s", (code, message) => {
  expect(whyRefused(refused(code, message))).toBeUndefined();
});

it.each([
  ["58P01", 'could not access file "$libdir/plugins/reserved": No such file or directory'],
  ["28P01", 'password authentication failed for user "gtapp"'],
  // Before the password was asked for.
  ["53300", "sorry, too many clients already"],
])("a login is refused where it is told %s: %s, whatever words are in it", (code, message) => {
  expect(whyRefused(refused(code, message))).toBe(message);
});
