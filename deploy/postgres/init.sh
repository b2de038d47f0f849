#!/bin/sh
# One login and one database per service; nobody reads another's tables.
set -eu
for service in orgs members transfers scheduler; do
    psql -v ON_ERROR_STOP=1 -U postgres -v password="'$SERVICE_PASSWORD'" <<SQL
CREATE ROLE $service LOGIN PASSWORD :password;
CREATE DATABASE tuanqiao_$service OWNER $service ENCODING UTF8 TEMPLATE template0;
REVOKE ALL ON DATABASE tuanqiao_$service FROM PUBLIC;
SQL
done
