#!/bin/sh
# The last step of a release in any CI system. Earlier steps have written an OCI archive per platform to dist/, for
# example with "docker buildx build --output type=oci,dest=dist/amd64.tar" and a builder from "docker buildx create".
# Set IMAGE with its registry, such as registry.example/app or docker.io/example/app, and VERSION. Credentials come from
# "docker login", or from MANIFEST_TOOL_USERNAME and MANIFEST_TOOL_PASSWORD.
set -eu

# Use the user name and password for reads from this registry too, which "verify" does.
export MANIFEST_TOOL_REGISTRY="${IMAGE%%/*}"

# Pre-releases, such as 2.0.0-rc.1, do not move "latest".
case $VERSION in
*-*) set -- ;;
*) set -- --tags latest ;;
esac

manifest-tool push --digest-file digest.txt --metadata-file index.json from-images \
    --target "$IMAGE:$VERSION" "$@" oci-archive:dist/amd64.tar oci-archive:dist/arm64.tar
manifest-tool verify --platforms linux/amd64,linux/arm64 "$IMAGE@$(cat digest.txt)"
# Sign this digest: a tag may move before it is signed.
echo "$IMAGE@$(cat digest.txt)"
