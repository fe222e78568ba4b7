-- Whoever reads meanwhile, or has come back, must find all of it or nothing.
DO $drop_retired$
DECLARE
  why text;
  one record;
BEGIN
  SELECT string_agg(o.why, '; ') INTO why FROM pg_temp.retired_obstacle o;
  IF why IS NOT NULL THEN
    RAISE EXCEPTION 'nothing was dropped: %', why;
  END IF;
  FOR one IN SELECT DISTINCT code FROM pg_temp.retired_role LOOP
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', one.code);
  END LOOP;
  -- Rights on the database, on functions of pg_catalog and in schemas all share.
  FOR one IN SELECT role FROM pg_temp.retired_role JOIN pg_roles ON rolname = role LOOP
    EXECUTE format('DROP OWNED BY %I', one.role);
    EXECUTE format('DROP ROLE %I', one.role);
  END LOOP;
  IF to_regclass('platform.password') IS NOT NULL THEN
    DELETE FROM platform.password WHERE role IN (SELECT role FROM pg_temp.retired_role);
  END IF;
END
$drop_retired$;
