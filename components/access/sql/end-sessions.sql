-- Ends the sessions of these roles; how many there were. 5 s for each to roll back.
-- First the list, then the ending: in a WHERE the planner may call the function for everybody's session.
WITH sessions AS MATERIALIZED (SELECT pid FROM pg_stat_activity WHERE split_part(usename::text, '_restore_', 1) = ANY ($1))
SELECT coalesce(sum(pg_terminate_backend(pid, 5000)::int), 0)::int AS ended
  FROM sessions;
