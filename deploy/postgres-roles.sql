-- Two roles: the owner migrates, the service works and can change no table and no audit event.
--
--   psql -v ON_ERROR_STOP=1 -d portcullis -f deploy/postgres-roles.sql      as a superuser
--   portcullis migrate up                                                  as portcullis_owner
--   psql -v ON_ERROR_STOP=1 -d portcullis -f deploy/postgres-roles.sql      again, after every migration
--
-- Passwords are set apart from this: \password portcullis_owner, \password portcullis

SELECT 'CREATE ROLE ' || name || ' LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE'
FROM (VALUES ('portcullis_owner'), ('portcullis')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
\gexec

SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database())
UNION ALL SELECT format('GRANT CONNECT ON DATABASE %I TO portcullis_owner, portcullis', current_database())
\gexec

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO portcullis_owner;
GRANT USAGE ON SCHEMA public TO portcullis;

-- Rows of every table, except where less will do.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM portcullis;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO portcullis;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO portcullis;

-- Audit events are added and read; which migrations ran is read.
SELECT format('REVOKE UPDATE, DELETE ON %I FROM portcullis', name)
FROM (VALUES ('audit_events'), ('seaql_migrations')) AS narrow (name)
WHERE to_regclass('public.' || quote_ident(name)) IS NOT NULL
UNION ALL
SELECT 'REVOKE INSERT ON seaql_migrations FROM portcullis'
WHERE to_regclass('public.seaql_migrations') IS NOT NULL
\gexec
