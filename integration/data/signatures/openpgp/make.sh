#!/bin/sh
# Makes the OpenPGP keys and signatures in this folder with gpg 2.2 and skopeo 1.9:
#   integration/data/signatures/openpgp/make.sh
# They are made once and committed. A second run makes other keys.
set -eu
cd "$(dirname -- "$0")"

GNUPGHOME=$(mktemp -d)
export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT

run_gpg() {
    gpg --quiet --batch --yes --pinentry-mode loopback --passphrase '' "$@"
}
fingerprint() {
    gpg --list-keys --with-colons "$1@example.test" | awk -F: '/^fpr/ { print $10; exit }'
}

# Keys. "other" is not in the keyring; "subkey" signs with a subkey; "expired" lasted for a year.
for name in rsa2048 ed25519 revoked other; do
    case $name in rsa2048) kind=rsa2048 ;; *) kind=ed25519 ;; esac
    run_gpg --quick-generate-key "$name@example.test" $kind sign never
done
run_gpg --quick-generate-key subkey@example.test ed25519 cert never
run_gpg --quick-add-key "$(fingerprint subkey)" ed25519 sign never
run_gpg --faked-system-time 20200101T000000 --quick-generate-key expired@example.test ed25519 sign 1y

# Signatures of the payload, which skopeo writes itself.
for name in rsa2048 ed25519 revoked other subkey; do
    skopeo standalone-sign ../manifest.json registry.example/app:v1 "$(fingerprint $name)" -o $name.gpg
done
sign() {
    output=$1
    shift
    run_gpg --output "$output" --sign "$@" payload.json
}
gpg --quiet --decrypt ed25519.gpg >payload.json 2>/dev/null
sign expired.gpg --faked-system-time 20200601T000000 -u expired@example.test
sign expired-signature.gpg --faked-system-time "$(date -u +%Y%m%dT%H%M%S)" --default-sig-expire 1d -u ed25519@example.test
sign uncompressed.gpg -z 0 -u ed25519@example.test
sign sha1.gpg --digest-algo SHA1 -u rsa2048@example.test
sign text.gpg --textmode -u ed25519@example.test
sign two.gpg -u ed25519@example.test -u rsa2048@example.test
run_gpg --output detached.gpg --detach-sign -u ed25519@example.test payload.json
run_gpg --output armored.asc --armor --sign -u ed25519@example.test payload.json

# Revokes the key after it signed.
sed 's/^:-----BEGIN/-----BEGIN/' "$GNUPGHOME/openpgp-revocs.d/$(fingerprint revoked).rev" | run_gpg --import
set -- rsa2048@example.test ed25519@example.test revoked@example.test subkey@example.test expired@example.test
run_gpg --export "$@" >keyring.gpg
run_gpg --armor --export "$@" >keyring.asc
run_gpg --armor --export other@example.test >other.asc
