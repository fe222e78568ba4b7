/** As gtown: one of everything that a restore may get wrong. */
export const furnish = `
  CREATE TYPE gt.colour AS ENUM ('red', 'green');
  CREATE DOMAIN gt.positive AS int CHECK (VALUE > 0);
  CREATE FUNCTION gt.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT n * 2; END;
  CREATE TABLE gt_kinds (id serial PRIMARY KEY, c gt.colour NOT NULL, n gt.positive, t text DEFAULT 'x' || 'y', d date,
    doubled int GENERATED ALWAYS AS (id * 2) STORED, u uuid UNIQUE, j jsonb, b bytea, a int[] CHECK (cardinality(a) < 10));
  INSERT INTO gt_kinds (c, n, d, u, j, b, a)
    SELECT CASE i % 2 WHEN 0 THEN 'red' ELSE 'green' END::gt.colour, i, '2026-01-01'::date + i, gen_random_uuid(), '{"a": 1}', '\\x00ff', ARRAY[i]
      FROM generate_series(1, 1000) i;
  CREATE TABLE gt_part (id int, v float8) PARTITION BY RANGE (id);
  CREATE TABLE gt_part_1 PARTITION OF gt_part FOR VALUES FROM (0) TO (100);
  INSERT INTO gt_part SELECT i, random() FROM generate_series(0, 99) i;
  CREATE TABLE gt_child (kind int REFERENCES gt_kinds, note text);
  INSERT INTO gt_child SELECT i, repeat('n', i) FROM generate_series(1, 50) i;
  CREATE VIEW gt_view AS SELECT id, gt.twice(id) FROM gt_kinds;
  CREATE MATERIALIZED VIEW gt_mat AS SELECT count(*) FROM gt_kinds;
  CREATE SEQUENCE gt_own START 40; SELECT nextval('gt_own');
  CREATE INDEX ON gt_kinds (c, d);
  CREATE FUNCTION gt.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := upper(NEW.note); RETURN NEW; END';
  -- What a restore as anybody else would not pass.
  CREATE FUNCTION gt.is_owner() RETURNS bool LANGUAGE sql AS
    $$SELECT current_user = 'gtown' AND NOT (SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname IN (session_user, current_user))$$;
  CREATE TABLE gt_mine (id int CHECK (gt.is_owner()));
  INSERT INTO gt_mine VALUES (1);
  CREATE TRIGGER touch BEFORE INSERT ON gt_child FOR EACH ROW EXECUTE FUNCTION gt.touch()`;
