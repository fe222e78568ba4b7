-- Notes the passwords that are others than last time. What a role has changed itself is noted too, at its next rotation.
BEGIN;
DELETE FROM platform.password WHERE role NOT IN (SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL);
INSERT INTO platform.password AS known (role, fingerprint, since)
  SELECT rolname, encode(sha256(convert_to(rolpassword, 'UTF8')), 'hex'), now()
    FROM pg_authid
   WHERE rolpassword IS NOT NULL
  ON CONFLICT (role) DO UPDATE SET fingerprint = excluded.fingerprint, since = excluded.since
    WHERE known.fingerprint <> excluded.fingerprint;
COMMIT;
