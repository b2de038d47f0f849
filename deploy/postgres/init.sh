#!/bin/sh
# One login and one database per service; nobody reads another's tables.
set -eu
for service in orgs members transfers scheduler federation_bj federation_gd federation_fj; do
    psql -v ON_ERROR_STOP=1 -U postgres -v password="'$SERVICE_PASSWORD'" <<SQL
CREATE ROLE $service LOGIN PASSWORD :password;
CREATE DATABASE tuanqiao_$service OWNER $service ENCODING UTF8 TEMPLATE template0;
-- Personal data stays out of PostgreSQL's log: no errors that quote a value, no DETAIL with rows and keys, no statements.
ALTER ROLE $service SET log_min_messages = fatal;
ALTER ROLE $service SET log_error_verbosity = terse;
ALTER ROLE $service SET log_min_error_statement = panic;
ALTER ROLE $service SET log_statement = none;
ALTER ROLE $service SET log_min_duration_statement = -1;
ALTER ROLE $service SET log_parameter_max_length = 0;
ALTER ROLE $service SET log_parameter_max_length_on_error = 0;
REVOKE ALL ON DATABASE tuanqiao_$service FROM PUBLIC;
SQL
done
