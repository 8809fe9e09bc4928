#!/bin/sh
# Runs test-registry.sh for registries that give an account a single repository: all images become tags of it.
#   integration/test-registry-tagonly.sh [FLAG...] HOST[:PORT]/REPOSITORY
set -eu
exec "$(dirname -- "$0")/test-registry.sh" --one-repository "$@"
