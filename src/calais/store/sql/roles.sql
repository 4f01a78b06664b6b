-- Least privilege for the people of one Calais database in PostgreSQL 12 or later.
--
-- Run it in the database as the role that owns the tables (whoever opened the database first), or as an
-- administrator, after every update of the tables. It may be run again at any time.
--
-- Afterwards a person is made with:   CREATE ROLE alice LOGIN IN ROLE calais_user;
-- The person's account is the name of the role. Such a role can use its own rows and no others, whatever SQL it
-- sends; it cannot change tables, and it cannot see that other accounts exist.
-- The role calais_user has to be there: an administrator makes it once with CREATE ROLE calais_user NOLOGIN;

REVOKE ALL ON schema_version, store, certificate, property, setting FROM PUBLIC;
REVOKE ALL ON schema_version, store, certificate, property, setting FROM calais_user;
GRANT SELECT ON schema_version TO calais_user;
GRANT SELECT, INSERT, UPDATE, DELETE ON store, certificate, property, setting TO calais_user;

REVOKE ALL ON SEQUENCE store_id_seq, certificate_id_seq, setting_id_seq FROM PUBLIC;
GRANT USAGE ON SEQUENCE store_id_seq, certificate_id_seq, setting_id_seq TO calais_user;

ALTER TABLE store ENABLE ROW LEVEL SECURITY;
ALTER TABLE certificate ENABLE ROW LEVEL SECURITY;
ALTER TABLE property ENABLE ROW LEVEL SECURITY;
ALTER TABLE setting ENABLE ROW LEVEL SECURITY;

DROP POLICY IF EXISTS own_rows ON store;
DROP POLICY IF EXISTS own_rows ON certificate;
DROP POLICY IF EXISTS own_rows ON property;
DROP POLICY IF EXISTS own_rows ON setting;
CREATE POLICY own_rows ON store TO calais_user USING (account = current_user) WITH CHECK (account = current_user);
CREATE POLICY own_rows ON certificate TO calais_user USING (account = current_user) WITH CHECK (account = current_user);
CREATE POLICY own_rows ON property TO calais_user USING (account = current_user) WITH CHECK (account = current_user);
CREATE POLICY own_rows ON setting TO calais_user USING (account = current_user) WITH CHECK (account = current_user);
