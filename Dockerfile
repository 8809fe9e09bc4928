# manifest-tool with CA certificates, running as non-root.
#   docker build -t manifest-tool .                                 (with BuildKit, or buildah)
#   docker build -t manifest-tool:debug --target debug .            adds a shell and credential helpers
# Cross-compiles, so docker buildx build --platform linux/s390x . needs no emulation.
# SOURCE is the address of the repository, for the label.
# Dependabot updates the versions below only in a FROM line, not in an ARG.
FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates
WORKDIR /source
COPY . .
ARG TARGETPLATFORM
RUN release/build.sh "$TARGETPLATFORM" /built/ --static && \
    install -D -m 644 /etc/ssl/certs/ca-certificates.crt /built/etc/ssl/certs/ca-certificates.crt

FROM --platform=$BUILDPLATFORM docker.io/library/golang:1.26-bookworm AS helpers
WORKDIR /source
COPY release/helpers.sh release/
COPY release/helpers/ release/helpers/
ARG TARGETPLATFORM
RUN release/helpers.sh "$TARGETPLATFORM" /helpers

FROM docker.io/library/busybox:1.37-musl AS debug
COPY --from=build /built/ /
COPY --from=helpers /helpers/bin/ /usr/local/bin/
COPY --from=helpers /helpers/licenses/ /usr/local/share/licenses/
COPY LICENSE /usr/local/share/licenses/manifest-tool/
ARG SOURCE=https://github.com/OWNER/manifest-tool
LABEL org.opencontainers.image.title=manifest-tool \
    org.opencontainers.image.source=$SOURCE \
    org.opencontainers.image.licenses=Apache-2.0
# Credential helpers keep caches in their home, which must be writable for any user.
ENV HOME=/tmp PATH=/usr/local/bin:/usr/bin:/bin:/
USER 65532:65532
ENTRYPOINT ["/manifest-tool"]

# The last stage is the default.
FROM scratch
COPY --from=build /built/ /
COPY LICENSE /usr/local/share/licenses/manifest-tool/
ARG SOURCE=https://github.com/OWNER/manifest-tool
LABEL org.opencontainers.image.title=manifest-tool \
    org.opencontainers.image.source=$SOURCE \
    org.opencontainers.image.licenses=Apache-2.0
USER 65532:65532
ENTRYPOINT ["/manifest-tool"]
