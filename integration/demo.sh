#!/bin/sh
# Runs the main job end to end against a real registry: `make demo`, or `REGISTRY=host:port make demo`.
set -eu
cd "$(dirname "$0")/.."
tool=${CARGO_TARGET_DIR:-target}/release/manifest-tool
work=$(mktemp -d)
registry_pid=
trap '[ -z "$registry_pid" ] || kill "$registry_pid" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
run() { printf '$ %s\n' "$(echo "$*" | sed "s|$tool|manifest-tool|; s|$work/||g")"; "$@"; }

start_registry() {
    # Try several ports: another process may use one.
    for port in 5000 5005 5500 15000 25000; do
        host=127.0.0.1:$port
        cat >"$work/registry.yml" <<YAML
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $work/storage}}
http: {addr: "$host"}
YAML
        docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
        registry_pid=$!
        for _ in 1 2 3 4 5 6 7 8 9 10; do
            sleep 0.2
            kill -0 "$registry_pid" 2>/dev/null || break
        done
        if kill -0 "$registry_pid" 2>/dev/null; then
            REGISTRY=$host
            return 0
        fi
    done
    registry_pid=
    return 1
}

say "Without a registry: assembling what two builds left in folders, into a folder"
run "$tool" push --type oci from-args --platforms linux/amd64,linux/arm64/v8 \
    --template oci:examples/layouts/ARCH --target "oci:$work/hello:v1"
run "$tool" inspect "oci:$work/hello:v1"
run "$tool" copy "oci:$work/hello:v1" "oci-archive:$work/hello.tar"

if [ -n "${REGISTRY:-}" ]; then
    say "Using the registry $REGISTRY"
else
    say "Starting a registry"
    if ! sh integration/install-tools.sh docker-registry || ! start_registry; then
        say "No registry can be had here, so that was all: name one that you may push to, REGISTRY=host:port make demo"
        exit 0
    fi
    echo "docker-registry listens on $REGISTRY"
fi

say "Pushing an image for each platform, as three builds would have done"
# The library example push_hello pushes the same images, but cargo builds it with every dependency of the tests.
for architecture in amd64 arm64 armv7; do
    run "$tool" copy "oci:examples/layouts/docker:$architecture" "$REGISTRY/hello:v1-$architecture"
done

say "Assembling them by a spec, with extra tags"
sed "s|localhost:5000|$REGISTRY|" examples/hello.yaml >"$work/hello.yaml"
run "$tool" push from-spec "$work/hello.yaml"

say "Assembling them by arguments, as an OCI index, in another repository"
run "$tool" push --type oci from-args --platforms linux/amd64,linux/arm64/v8 \
    --template "$REGISTRY/hello:v1-ARCH" --target "$REGISTRY/team/hello:v1" \
    --annotations org.opencontainers.image.title=hello

say "Planning a change of it, and adding a platform to what is there"
run "$tool" push --dry-run --append from-args --platforms linux/arm/v7 \
    --template "$REGISTRY/hello:v1-armv7" --target "$REGISTRY/team/hello:v1"
run "$tool" push --append from-args --platforms linux/arm/v7 \
    --template "$REGISTRY/hello:v1-armv7" --target "$REGISTRY/team/hello:v1"

say "Looking at the result"
run "$tool" inspect "$REGISTRY/hello:latest"
run "$tool" inspect "$REGISTRY/team/hello:v1"

say "Taking what the builds left in folders into the registry, and an index of the registry into a file"
run "$tool" push --type oci from-args --platforms linux/amd64,linux/arm64/v8 \
    --template oci:examples/layouts/ARCH --target "$REGISTRY/hello:from-folders"
run "$tool" copy "$REGISTRY/hello:v1" "oci-archive:$work/hello-v1.tar"
say "Done"
