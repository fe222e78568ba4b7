-- Since when each role has its password: PostgreSQL does not keep it. Seen by superusers and by role app.
CREATE TABLE IF NOT EXISTS platform.password (
  role name PRIMARY KEY,
  -- Of the verifier: tells another one, and is of no use to who reads it.
  fingerprint text NOT NULL,
  since timestamptz NOT NULL
);
