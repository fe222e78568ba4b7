-- Notes the passwords that are others than last time. A verifier is 133 characters; a role may give itself one of megabytes, which
-- lets nobody in. What a role has changed itself is noted too, at its next rotation.
BEGIN;
DELETE FROM platform.password WHERE role NOT IN (SELECT rolname FROM pg_authid WHERE octet_length(rolpassword) < 1000);
INSERT INTO platform.password AS known (role, fingerprint, since)
  SELECT rolname, encode(sha256(convert_to(rolpassword, 'UTF8')), 'hex'), now()
    FROM pg_authid
   WHERE octet_length(rolpassword) < 1000
  ON CONFLICT (role) DO UPDATE SET fingerprint = excluded.fingerprint, since = excluded.since
    WHERE known.fingerprint <> excluded.fingerprint;
COMMIT;
