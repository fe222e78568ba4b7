-- The backup of a drop that has begun. An `up` of before has not made the table, and nobody but a superuser may have.
CREATE TEMP TABLE retired_begun (backup text) ON COMMIT DROP;
DO $retired_begun$
BEGIN
  IF EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('platform.begun_drop') AND relkind = 'r' AND relowner = 10) THEN
    INSERT INTO pg_temp.retired_begun
    SELECT b.backup FROM platform.begun_drop b JOIN pg_namespace n ON n.oid = b.schema AND n.nspname = b.code
     WHERE b.code IN (SELECT code FROM pg_temp.retired_role);
  END IF;
END
$retired_begun$;
