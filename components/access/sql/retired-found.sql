SELECT json_build_object(
  'isThere', EXISTS (SELECT FROM pg_namespace WHERE nspname IN (SELECT code FROM retired_role))
             OR EXISTS (SELECT FROM pg_roles WHERE rolname IN (SELECT role FROM retired_role)),
  'hasSchema', EXISTS (SELECT FROM pg_namespace WHERE nspname IN (SELECT code FROM retired_role)),
  'obstacles', (SELECT coalesce(json_agg(why), '[]') FROM retired_obstacle)
);
