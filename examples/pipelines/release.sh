#!/bin/sh
# The last step of a release in any CI system. Earlier steps have written an OCI archive per platform to dist/, for
# example with "docker buildx build --output type=oci,dest=dist/amd64.tar" and a builder from "docker buildx create".
# Set IMAGE, such as registry.example/app, and VERSION. Credentials come from "docker login", or from
# MANIFEST_TOOL_USERNAME and MANIFEST_TOOL_PASSWORD.
set -eu

# Use the user name and password for reads from this registry too, which "verify" does.
export MANIFEST_TOOL_REGISTRY="${IMAGE%%/*}"

manifest-tool push --type oci --digest-file digest.txt --metadata-file index.json from-args \
    --platforms linux/amd64,linux/arm64 --template oci-archive:dist/ARCH.tar \
    --target "$IMAGE:$VERSION" --tags latest
manifest-tool verify "$IMAGE@$(cat digest.txt)"
# Sign the digest: a tag may move before it is signed.
echo "$IMAGE@$(cat digest.txt)"
