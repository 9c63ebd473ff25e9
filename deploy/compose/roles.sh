#!/bin/sh
# Onefold's roles and its database, made once, by a new PostgreSQL: one role owns the schema, the API's may read and
# accept, the worker's writes profiles. None of them is a superuser. `onefold db grant` says what each may do.
set -eu
export SECRETS="${SECRETS:-/run/secrets}"
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\set owner `cat "$SECRETS/owner_password"`
\set api `cat "$SECRETS/api_password"`
\set worker `cat "$SECRETS/worker_password"`
create role onefold login password :'owner';
create role onefold_api login password :'api';
create role onefold_worker login password :'worker';
grant onefold_worker to onefold;
create database onefold owner onefold;
revoke connect on database onefold from public;
grant connect on database onefold to onefold_api, onefold_worker;
SQL
