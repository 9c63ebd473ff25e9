#!/bin/sh
# Makes the passwords of docker-compose.yml, in files below secrets/ of the directory that it is called in. What is there
# stays. Containers read the files as users of their own, so that the files are open and the directory is closed.
set -eu
umask 077
mkdir -p secrets
chmod 700 secrets
cd secrets

made() { # made NAME VALUE: a file, unless there is one
    [ -s "$1" ] || printf '%s\n' "$2" > "$1"
    chmod 444 "$1"
}
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

for name in postgres owner api worker redis; do
    made "${name}_password" "$(random)"
done
made flower_auth "admin:$(random)"
made redis_conf "requirepass $(cat redis_password)"
made redis_url "redis://:$(cat redis_password)@redis:6379/0"
made owner_database_url "postgresql://onefold:$(cat owner_password)@postgres:5432/onefold"
made api_database_url "postgresql://onefold_api:$(cat api_password)@postgres:5432/onefold"
made worker_database_url "postgresql://onefold_worker:$(cat worker_password)@postgres:5432/onefold"
