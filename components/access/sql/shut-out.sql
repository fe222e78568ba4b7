-- They may not log in from the end of this transaction on, and have the settings the plan gives them, in this database none of its
-- own: what they have set themselves the provider may not be able to read. One that is not there yet comes later.
DO $shut_out$
DECLARE
  planned record;
BEGIN
  FOR planned IN SELECT DISTINCT role FROM pg_temp.frozen_role JOIN pg_roles ON rolname = role LOOP
    EXECUTE format('ALTER ROLE %I NOLOGIN', planned.role);
    -- Longer than any is one with which a role fills the memory of everybody who looks it up.
    IF EXISTS (SELECT FROM pg_authid WHERE rolname = planned.role AND octet_length(rolpassword) > 1000) THEN
      EXECUTE format('ALTER ROLE %I PASSWORD NULL', planned.role);
    END IF;
    EXECUTE format('ALTER ROLE %I RESET ALL', planned.role);
    EXECUTE format('ALTER ROLE %I IN DATABASE %I RESET ALL', planned.role, current_database());
  END LOOP;
  FOR planned IN SELECT role, setting, value FROM pg_temp.frozen_role JOIN pg_roles ON rolname = role LOOP
    -- As the plan spells it: a search path is a list of names, not one text.
    EXECUTE format('ALTER ROLE %I SET %I = %s', planned.role, planned.setting, planned.value);
  END LOOP;
END
$shut_out$;
