#!/bin/sh
# The last step of a release, whatever the pipeline: the builds have left an OCI archive for each platform in dist/, as
# "docker buildx build --output type=oci,dest=dist/amd64.tar" does with a builder of "docker buildx create". Wanted: IMAGE,
# such as registry.example/app, and VERSION; credentials that "docker login" stored, or MANIFEST_TOOL_USERNAME and
# MANIFEST_TOOL_PASSWORD.
set -eu

# "verify" only reads: this lets it use user name and password too.
export MANIFEST_TOOL_REGISTRY="${IMAGE%%/*}"

manifest-tool push --type oci --digest-file digest.txt --metadata-file index.json from-args \
    --platforms linux/amd64,linux/arm64 --template oci-archive:dist/ARCH.tar \
    --target "$IMAGE:$VERSION" --tags latest
manifest-tool verify "$IMAGE@$(cat digest.txt)"
# To be signed: a digest, never a tag, which may move meanwhile.
echo "$IMAGE@$(cat digest.txt)"
