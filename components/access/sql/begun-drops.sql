-- Services of which a part is dropped and a part is left, each with the backup that was compared before the first part went: what is
-- left cannot be compared any more. By the schema's number, which no other will have. No service makes or writes anything here.
CREATE TABLE IF NOT EXISTS platform.begun_drop (
  code name PRIMARY KEY,
  schema oid NOT NULL,
  backup text NOT NULL,
  since timestamptz NOT NULL
);

-- What a run of such a drop could not drop alone, or not take apart, and so does not try again in each of its transactions: those that
-- fail would take all the time there is. Of another run it means nothing.
CREATE TABLE IF NOT EXISTS platform.failed_drop (
  run text NOT NULL,
  classid oid,
  objid oid,
  is_drop boolean,
  why text NOT NULL,
  others_went boolean NOT NULL, -- since: it may be dropped now
  PRIMARY KEY (classid, objid, is_drop)
);
