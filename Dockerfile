# manifest-tool with CA certificates, running as non-root.
#   docker build -t manifest-tool .      (with BuildKit, or buildah)
# Cross-compiles, so docker buildx build --platform linux/s390x . needs no emulation.
# Dependabot updates the version below only in a FROM line, not in an ARG.
FROM --platform=$BUILDPLATFORM docker.io/library/rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates
WORKDIR /source
COPY . .
ARG TARGETPLATFORM
RUN release/build.sh "$TARGETPLATFORM" /built/ --static && \
    install -D -m 644 /etc/ssl/certs/ca-certificates.crt /built/etc/ssl/certs/ca-certificates.crt

FROM scratch
COPY --from=build /built/ /
USER 65532:65532
ENTRYPOINT ["/manifest-tool"]
