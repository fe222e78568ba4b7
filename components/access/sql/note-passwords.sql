-- Since when each role has its password. Of a service's role that is what the stack has given it (given_password), and nothing that is read
-- from pg_authid: what the role has made of it meanwhile is its own. The platform's logins only a superuser changes.
DELETE FROM platform.password WHERE role NOT IN (SELECT rolname FROM pg_authid);
INSERT INTO platform.password AS known (role, fingerprint, since)
  SELECT role, fingerprint, now() FROM pg_temp.given_password
  UNION ALL
  SELECT rolname, encode(sha256(convert_to(rolpassword, 'UTF8')), 'hex'), now()
    FROM pg_authid
   WHERE rolname IN ('postgres', 'app', 'repl') AND rolpassword IS NOT NULL
     AND rolname NOT IN (SELECT role FROM pg_temp.given_password)
  ON CONFLICT (role) DO UPDATE SET fingerprint = excluded.fingerprint, since = excluded.since
    WHERE known.fingerprint <> excluded.fingerprint;
