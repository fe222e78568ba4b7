-- As much of it as a quarter of the server's locks is enough for, and two seconds: a service can have more than the server has locks,
-- others need some, and wait with their DDL meanwhile. Where that is all, whoever reads meanwhile, or has come back, finds all of it or nothing.
DO $drop_retired$
DECLARE
  locks int := greatest(100, current_setting('max_locks_per_transaction')::int * current_setting('max_connections')::int / 4);
  began constant timestamptz := clock_timestamp();
  held_before int;
  next_count int := 1;
  upon int[];     -- by piece: how many pieces stand on it
  classes oid[];
  numbers oid[];
  gone boolean[];
  free int[];     -- nothing stands on these any more; the cursor is the first that was not looked at
  free_at int := 1;
  knotted int[];  -- all, where the fewest stand on them first
  knotted_at int := 1;
  piece int;
  is_free boolean;
  statement text;
  dropped int := 0;
  too_large text;
  too_many boolean := false;
  lower int;
  why text;
  one record;
BEGIN
  SELECT string_agg(o.why, '; ') INTO why FROM pg_temp.retired_obstacle o;
  IF why IS NOT NULL THEN
    RAISE EXCEPTION 'nothing was dropped: %', why;
  END IF;
  SELECT b.backup INTO why FROM pg_temp.retired_begun b WHERE b.backup <> (SELECT w.backup FROM pg_temp.retired_with w);
  IF FOUND THEN
    RAISE EXCEPTION 'nothing was dropped: what is gone already is in %', why;
  END IF;

  SELECT count(*) INTO held_before FROM pg_lock_status() WHERE pid = pg_backend_pid();
  SELECT array_agg(p.classid ORDER BY p.piece), array_agg(p.objid ORDER BY p.piece), array_agg(false ORDER BY p.piece),
         array_agg(u.times ORDER BY p.piece), array_agg(p.piece ORDER BY p.piece) FILTER (WHERE u.times = 0),
         array_agg(p.piece ORDER BY u.times, p.piece)
    INTO classes, numbers, gone, upon, free, knotted
    FROM pg_temp.retired_piece p
    JOIN (SELECT o.piece, count(r.lower)::int AS times
            FROM pg_temp.retired_piece o LEFT JOIN pg_temp.retired_upon r ON r.lower = o.piece GROUP BY 1) u ON u.piece = p.piece;

  LOOP
    IF free_at <= coalesce(array_length(free, 1), 0) THEN
      is_free := true;
      piece := free[free_at];
      free_at := free_at + 1;
    ELSIF knotted_at <= coalesce(array_length(knotted, 1), 0) THEN
      -- Each of those that are left has another upon it, as two tables with foreign keys to each other.
      is_free := false;
      piece := knotted[knotted_at];
      knotted_at := knotted_at + 1;
    ELSE
      EXIT;
    END IF;
    CONTINUE WHEN gone[piece];
    BEGIN
      IF EXISTS (SELECT FROM pg_depend WHERE classid = classes[piece] AND objid = numbers[piece]) THEN
        statement := pg_temp.retired_drop(classes[piece], numbers[piece]);
        EXECUTE statement || CASE WHEN is_free THEN ' RESTRICT' ELSE ' CASCADE' END;
        dropped := dropped + 1;
      END IF;
      gone[piece] := true;
    EXCEPTION
      WHEN out_of_memory THEN
        -- With what is held already; the next transaction begins with it.
        too_many := dropped > 0;
        too_large := coalesce(too_large, statement);
      WHEN dependent_objects_still_exist THEN
        NULL; -- once more when nothing is free any more
      WHEN lock_not_available OR deadlock_detected THEN
        RAISE;
      WHEN OTHERS THEN
        gone[piece] := true; -- it goes with what it is of, as an inherited check, or with the schema, which says what is wrong
    END;
    EXIT WHEN too_many;
    CONTINUE WHEN NOT gone[piece];
    FOR lower IN SELECT r.lower FROM pg_temp.retired_upon r WHERE r.upper = piece LOOP
      upon[lower] := upon[lower] - 1;
      IF upon[lower] = 0 THEN
        free := array_append(free, lower);
      END IF;
    END LOOP;
    EXIT WHEN clock_timestamp() > began + '2 s';
    -- Counting takes its time, and few take more than twenty.
    IF dropped >= next_count THEN
      SELECT locks - (count(*) - held_before) INTO lower FROM pg_lock_status() WHERE pid = pg_backend_pid();
      EXIT WHEN lower <= 0;
      next_count := dropped + greatest(1, lower / 20);
    END IF;
  END LOOP;

  IF array_position(gone, false) IS NOT NULL THEN
    IF dropped = 0 THEN
      RAISE EXCEPTION 'the server has not locks enough for %', coalesce(too_large, 'what is left')
        USING HINT = 'Raise max_locks_per_transaction.';
    END IF;
    INSERT INTO platform.begun_drop AS known (code, schema, backup, since)
    SELECT n.nspname, n.oid, w.backup, now()
      FROM pg_namespace n, pg_temp.retired_with w WHERE n.nspname IN (SELECT code FROM pg_temp.retired_role)
        ON CONFLICT (code) DO UPDATE
       SET schema = EXCLUDED.schema, backup = EXCLUDED.backup, since = EXCLUDED.since
     WHERE known.schema <> EXCLUDED.schema;
    RETURN;
  END IF;

  FOR one IN SELECT DISTINCT code FROM pg_temp.retired_role LOOP
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', one.code);
  END LOOP;
  -- Rights on the database, on functions of pg_catalog and in schemas all share.
  FOR one IN SELECT role FROM pg_temp.retired_role JOIN pg_roles ON rolname = role LOOP
    EXECUTE format('DROP OWNED BY %I', one.role);
    EXECUTE format('DROP ROLE %I', one.role);
  END LOOP;
  DELETE FROM platform.begun_drop WHERE code IN (SELECT code FROM pg_temp.retired_role);
  IF to_regclass('platform.password') IS NOT NULL THEN
    DELETE FROM platform.password WHERE role IN (SELECT role FROM pg_temp.retired_role);
  END IF;
END
$drop_retired$;

-- Whether there is more to do.
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname IN (SELECT role FROM retired_role))
       OR EXISTS (SELECT FROM pg_namespace WHERE nspname IN (SELECT code FROM retired_role)) AS is_left;
