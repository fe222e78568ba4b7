-- The roles of frozen services, and each setting the plan gives to them.
CREATE TEMP TABLE frozen_role (role text, setting text, value text) ON COMMIT DROP;
