#!/bin/sh
# As test-registry.sh, for registries where an account has one repository alone: everything is told apart by tags.
#   integration/test-registry-tagonly.sh [FLAG...] HOST[:PORT]/REPOSITORY
set -eu
exec "$(dirname -- "$0")/test-registry.sh" --one-repository "$@"
