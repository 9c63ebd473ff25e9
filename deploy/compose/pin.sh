#!/bin/sh
# Writes the images of docker-compose.yml with their digests to .env of the directory that it is called in, so that
# nothing changes below a running Onefold before you say so. Call it again to take newer ones. The rest of .env stays;
# nobody else may read it, since it may hold METRICS_TOKEN.
set -eu
umask 077
digest() {
    docker buildx imagetools inspect "$1" --format '{{.Manifest.Digest}}'
}
# Assigned first: `set -e` does not see a command that fails among the words of another one.
postgres="$(digest postgres:18-alpine)"
valkey="$(digest valkey/valkey:9-alpine)"
for found in "$postgres" "$valkey"; do
    case "$found" in
        sha256:?*) ;;
        *) echo "No digest of an image: \"$found\". .env is as it was." >&2; exit 1 ;;
    esac
done
rm -f .env.new
if [ -e .env ]; then
    awk '!/^(POSTGRES|VALKEY)_IMAGE=/' .env > .env.new
fi
printf 'POSTGRES_IMAGE=postgres:18-alpine@%s\n' "$postgres" >> .env.new
printf 'VALKEY_IMAGE=valkey/valkey:9-alpine@%s\n' "$valkey" >> .env.new
mv .env.new .env
