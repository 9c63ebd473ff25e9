#!/bin/sh
# Writes the images of docker-compose.yml with their digests to .env, so that nothing changes below a running Onefold
# before you say so. Call it again to take newer ones.
set -eu
digest() { docker buildx imagetools inspect "$1" --format '{{.Manifest.Digest}}'; }
{
    grep -v -E '^(POSTGRES|VALKEY)_IMAGE=' .env 2>/dev/null || true
    printf 'POSTGRES_IMAGE=postgres:18-alpine@%s\n' "$(digest postgres:18-alpine)"
    printf 'VALKEY_IMAGE=valkey/valkey:9-alpine@%s\n' "$(digest valkey/valkey:9-alpine)"
} > .env.new
mv .env.new .env
