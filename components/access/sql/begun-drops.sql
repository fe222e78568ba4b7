-- Services of which a part is dropped and a part is left, each with the backup that was compared before the first part went: what is
-- left cannot be compared any more. By the schema's number, which no other will have. No service makes or writes anything here.
CREATE TABLE IF NOT EXISTS platform.begun_drop (
  code name PRIMARY KEY,
  schema oid NOT NULL,
  backup text NOT NULL,
  since timestamptz NOT NULL
);
