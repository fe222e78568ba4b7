-- The guard as the server has it: its event triggers and the functions they call. A row of each.
SELECT 'event trigger' AS kind, e.evtname AS name, e.evtevent::text AS event, e.evtenabled::text AS enabled, p.oid::regprocedure::text AS function,
       e.evttags AS tags, NULL AS source, pg_get_userbyid(e.evtowner)::text AS owner
  FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid
UNION ALL
SELECT 'function', p.proname, NULL, NULL, p.oid::regprocedure::text, NULL, p.prosrc, pg_get_userbyid(p.proowner)
  FROM pg_proc p
 WHERE p.pronamespace = to_regnamespace('platform')
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
 ORDER BY 1, 2;
