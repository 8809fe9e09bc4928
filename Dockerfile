# manifest-tool and the certificates of the usual authorities, for a user without rights.
#   docker build -t manifest-tool .      (with BuildKit, or buildah)
# It is cross-built: docker buildx build --platform linux/s390x . emulates nothing.
# Dependabot raises the version below only where it is spelled out, not where an ARG holds it.
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
