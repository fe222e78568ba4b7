SELECT json_build_object(
  'isThere', EXISTS (SELECT FROM pg_namespace WHERE nspname IN (SELECT code FROM retired_role))
             OR EXISTS (SELECT FROM pg_roles WHERE rolname IN (SELECT role FROM retired_role)),
  'hasSchema', EXISTS (SELECT FROM pg_namespace WHERE nspname IN (SELECT code FROM retired_role)),
  'begun', (SELECT backup FROM retired_begun),
  'obstacles', (SELECT coalesce(json_agg(why), '[]') FROM retired_obstacle)
);
