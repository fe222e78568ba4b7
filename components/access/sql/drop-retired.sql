-- As much of it as a quarter of the server's locks is enough for, and two seconds: a service can have more than the server has locks,
-- others need some, and wait with their DDL meanwhile. Where that is all, whoever reads meanwhile, or has come back, finds all of it or nothing.
DO $drop_retired$
DECLARE
  locks int := greatest(100, current_setting('max_locks_per_transaction')::int * current_setting('max_connections')::int / 4);
  began timestamptz;
  held_before int;
  next_count int := 1;
  upon int[];     -- by piece: how many pieces stand on it
  classes oid[];
  numbers oid[];
  gone boolean[]; -- or given up: it goes with what it is of, as an inherited check, or with the schema, which says what is wrong
  free int[];     -- nothing stands on these any more; the cursor is the first that was not looked at
  free_at int := 1;
  whole int[];    -- what may be taken apart, where the fewest stand on them first
  whole_at int := 1;
  knotted int[];  -- all, where the fewest stand on them first
  knotted_at int := 1;
  piece int;
  is_drop boolean;
  statement text;
  done int := 0;
  failed int := 0;
  is_last boolean := true;
  lower int;
  why text;
  hint text;
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

  -- Only that which this run has given up: what was in its way before may be mended.
  DELETE FROM platform.failed_drop f WHERE f.run <> (SELECT w.run FROM pg_temp.retired_with w);
  DELETE FROM pg_temp.retired_upon u
   USING pg_temp.retired_piece p, platform.failed_drop f
   WHERE p.piece = u.upper AND f.classid = p.classid AND f.objid = p.objid AND f.is_drop;
  SELECT count(*) INTO held_before FROM pg_lock_status() WHERE pid = pg_backend_pid();
  SELECT array_agg(p.classid ORDER BY p.piece), array_agg(p.objid ORDER BY p.piece), array_agg(f.objid IS NOT NULL ORDER BY p.piece),
         array_agg(u.times ORDER BY p.piece), array_agg(p.piece ORDER BY p.piece) FILTER (WHERE u.times = 0),
         array_agg(p.piece ORDER BY u.times, p.piece)
           FILTER (WHERE NOT EXISTS (SELECT FROM platform.failed_drop n WHERE n.classid = p.classid AND n.objid = p.objid)
                     AND CASE p.classid
                           WHEN 'pg_class'::regclass THEN (SELECT relkind = 'v' FROM pg_class WHERE oid = p.objid)
                           WHEN 'pg_proc'::regclass THEN (SELECT prosqlbody IS NOT NULL OR pronargdefaults > 0 FROM pg_proc WHERE oid = p.objid)
                           WHEN 'pg_type'::regclass THEN (SELECT typdefaultbin IS NOT NULL FROM pg_type WHERE oid = p.objid)
                         END),
         array_agg(p.piece ORDER BY u.times, p.piece)
    INTO classes, numbers, gone, upon, free, whole, knotted
    FROM pg_temp.retired_piece p
    JOIN (SELECT o.piece, count(r.lower)::int AS times
            FROM pg_temp.retired_piece o LEFT JOIN pg_temp.retired_upon r ON r.lower = o.piece GROUP BY 1) u ON u.piece = p.piece
    LEFT JOIN platform.failed_drop f ON f.classid = p.classid AND f.objid = p.objid AND f.is_drop;

  began := clock_timestamp();
  -- The guard looks at what services make, and is asked at each statement.
  SET LOCAL session_replication_role = replica;
  SET LOCAL lock_timeout = '2s';
  PERFORM pg_temp.end_retired_holders();
  LOOP
    is_drop := true;
    IF free_at <= coalesce(array_length(free, 1), 0) THEN
      piece := free[free_at];
      free_at := free_at + 1;
    ELSIF whole_at <= coalesce(array_length(whole, 1), 0) THEN
      -- Each of those that are left has another upon it.
      is_drop := false;
      piece := whole[whole_at];
      whole_at := whole_at + 1;
    ELSIF knotted_at <= coalesce(array_length(knotted, 1), 0) THEN
      -- As two tables with foreign keys to each other: of who has them nothing but the keys goes too.
      piece := knotted[knotted_at];
      knotted_at := knotted_at + 1;
    ELSE
      EXIT;
    END IF;
    CONTINUE WHEN gone[piece];
    BEGIN
      IF NOT is_drop THEN
        statement := pg_temp.retired_apart(classes[piece], numbers[piece]);
        IF statement IS NULL THEN
          RAISE EXCEPTION 'it stands on nothing';
        END IF;
        PERFORM pg_temp.run_retired(statement);
        IF pg_temp.retired_apart(classes[piece], numbers[piece]) IS NOT NULL THEN
          RAISE EXCEPTION 'it stands where it stood'; -- and would be taken apart again for ever
        END IF;
        done := done + 1;
      ELSE
        IF EXISTS (SELECT FROM pg_depend WHERE classid = classes[piece] AND objid = numbers[piece]) THEN
          statement := pg_temp.retired_drop(classes[piece], numbers[piece]) || ' CASCADE';
          PERFORM pg_temp.run_retired(statement);
          done := done + 1;
        END IF;
        gone[piece] := true;
      END IF;
    EXCEPTION
      WHEN lock_not_available OR deadlock_detected THEN
        RAISE;
      WHEN OTHERS THEN
        -- With what is held already; the next transaction begins with it.
        EXIT WHEN SQLSTATE = '53200' AND done > 0;
        failed := failed + 1;
        gone[piece] := is_drop;
        INSERT INTO platform.failed_drop
        SELECT w.run, classes[piece], numbers[piece], is_drop, format('%s: %s', statement, SQLERRM), false FROM pg_temp.retired_with w;
    END;
    FOR lower IN
      DELETE FROM pg_temp.retired_upon r
       WHERE r.upper = piece
         AND (gone[piece] OR NOT EXISTS (SELECT FROM pg_temp.retired_part u
                                           JOIN pg_depend d ON d.classid = u.classid AND d.objid = u.objid
                                           JOIN pg_temp.retired_part l ON l.classid = d.refclassid AND l.objid = d.refobjid
                                          WHERE u.piece = r.upper AND l.piece = r.lower))
      RETURNING r.lower
    LOOP
      upon[lower] := upon[lower] - 1;
      IF upon[lower] = 0 THEN
        free := array_append(free, lower);
      END IF;
    END LOOP;
    EXIT WHEN clock_timestamp() > began + '2 s';
    -- Counting takes its time, and few take more than twenty.
    IF done >= next_count THEN
      SELECT locks - (count(*) - held_before) INTO lower FROM pg_lock_status() WHERE pid = pg_backend_pid();
      EXIT WHEN lower <= 0;
      next_count := done + greatest(1, lower / 20);
    END IF;
  END LOOP;

  is_last := array_position(gone, false) IS NULL OR done + failed = 0;
  IF is_last THEN
    BEGIN
      FOR one IN SELECT DISTINCT code FROM pg_temp.retired_role LOOP
        PERFORM pg_temp.run_retired(format('DROP SCHEMA IF EXISTS %I CASCADE', one.code));
      END LOOP;
    EXCEPTION
      WHEN lock_not_available OR deadlock_detected THEN
        RAISE;
      WHEN OTHERS THEN
        is_last := false;
        IF done = 0 THEN
          -- Once more what was given up before others went.
          DELETE FROM platform.failed_drop f WHERE f.is_drop AND f.others_went;
          IF NOT FOUND THEN
            GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
            SELECT format(' (%s of its objects cannot be dropped alone either, as %s)', count(*), min(f.why)) INTO why
              FROM platform.failed_drop f WHERE f.is_drop HAVING count(*) > 0;
            RAISE EXCEPTION USING ERRCODE = SQLSTATE, HINT = hint,
              MESSAGE = format('DROP SCHEMA %s CASCADE: %s%s', (SELECT min(code) FROM pg_temp.retired_role), SQLERRM, why);
          END IF;
        END IF;
    END;
  END IF;

  IF NOT is_last THEN
    IF done > 0 THEN
      UPDATE platform.failed_drop SET others_went = true;
      INSERT INTO platform.begun_drop AS known (code, schema, backup, since)
      SELECT n.nspname, n.oid, w.backup, now()
        FROM pg_namespace n, pg_temp.retired_with w WHERE n.nspname IN (SELECT code FROM pg_temp.retired_role)
          ON CONFLICT (code) DO UPDATE
         SET schema = EXCLUDED.schema, backup = EXCLUDED.backup, since = EXCLUDED.since
       WHERE known.schema <> EXCLUDED.schema;
    END IF;
    RETURN;
  END IF;

  -- Rights on the database, on functions of pg_catalog and in schemas all share.
  FOR one IN SELECT role FROM pg_temp.retired_role JOIN pg_roles ON rolname = role LOOP
    PERFORM pg_temp.run_retired(format('DROP OWNED BY %I', one.role));
    PERFORM pg_temp.run_retired(format('DROP ROLE %I', one.role));
  END LOOP;
  DELETE FROM platform.begun_drop WHERE code IN (SELECT code FROM pg_temp.retired_role);
  DELETE FROM platform.failed_drop;
  IF to_regclass('platform.password') IS NOT NULL THEN
    DELETE FROM platform.password WHERE role IN (SELECT role FROM pg_temp.retired_role);
  END IF;
END
$drop_retired$;

-- Whether there is more to do.
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname IN (SELECT role FROM retired_role))
       OR EXISTS (SELECT FROM pg_namespace WHERE nspname IN (SELECT code FROM retired_role)) AS is_left;
