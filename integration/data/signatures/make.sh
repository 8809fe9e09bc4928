#!/bin/sh
# Makes the keys and signatures in this folder with openssl 3:
#   integration/data/signatures/make.sh
# They are made once and committed. A second run makes other keys, and ECDSA and PSS signatures differ each time, so the
# tests compare no bytes: they only verify. Folder cosign has the output of cosign; see README.md.
set -eu
cd "$(dirname -- "$0")"

image=sha256:$(openssl dgst -sha256 -r manifest.json | cut -d' ' -f1)

base64_of() {
    openssl base64 -A
}

# sign KEY FILE [OPENSSL-OPTION...]: writes the signature to stdout, in base64.
sign() {
    key=$1 file=$2
    shift 2
    openssl pkeyutl -sign -inkey "$key" -rawin -in "$file" "$@" | base64_of
}

# Keys, in PKCS#8.
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out p256.key
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.key
openssl genpkey -algorithm ED25519 -out ed25519.key
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key
for name in p256 p384 ed25519 rsa; do
    openssl pkey -in $name.key -pubout -out $name.pub
done

# Other forms of the same keys, and keys that are not supported.
openssl ec -in p256.key -out p256-sec1.key
{ openssl ecparam -name P-256; cat p256-sec1.key; } >p256-with-parameters.key
openssl rsa -in rsa.key -traditional -out rsa-pkcs1.key
openssl rsa -in rsa.key -RSAPublicKey_out -out rsa-pkcs1.pub
openssl ec -in p256.key -no_public -out p256-without-public.key
openssl ec -in p256.key -pubout -conv_form compressed -out p256-compressed.pub
openssl pkey -in p256.key -aes256 -passout pass:test -out p256-encrypted.key
openssl ec -in p256.key -aes256 -passout pass:test -out p256-encrypted-sec1.key
openssl req -new -x509 -key p256.key -subj /CN=test -days 36500 -out certificate.pem
for curve in secp256k1 P-521; do
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:$curve | openssl pkey -pubout -out $curve.pub
done
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 | openssl pkey -pubout -out rsa-1024.pub
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:8192 | openssl pkey -pubout -out rsa-8192.pub

# Simple signing: one payload, signed by each key.
printf '{"critical":{"identity":{"docker-reference":"registry.example/app"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}' \
    "$image" >payload.json
sign p256.key payload.json -digest sha256 >p256.sig
sign p384.key payload.json -digest sha384 >p384.sig
sign p384.key payload.json -digest sha256 >p384-sha256.sig
sign ed25519.key payload.json >ed25519.sig
sign rsa.key payload.json -digest sha256 >rsa.sig
sign rsa.key payload.json -digest sha256 -pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:digest >rsa-pss.sig

# Bundles. The envelope's signature is over type and payload with their lengths (DSSE).
hint() {
    openssl pkey -pubin -in "$1" -outform DER | openssl dgst -sha256 -binary | base64_of
}
bundle() {
    printf '{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"%s"}},%s}' \
        "$(hint "$1.pub")" "$2"
}
type=application/vnd.in-toto+json
printf '{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"%s"}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}' \
    "${image#sha256:}" >statement.json
work=$(mktemp)
trap 'rm -f "$work"' EXIT
{ printf 'DSSEv1 %d %s %d ' "${#type}" "$type" "$(wc -c <statement.json)"; cat statement.json; } >"$work"
for name in p256 p384 ed25519 rsa; do
    digest='-digest sha256'
    case $name in p384) digest='-digest sha384' ;; ed25519) digest='' ;; esac
    # shellcheck disable=SC2086 # digest is an option and its value, or empty
    signature=$(sign $name.key "$work" $digest)
    bundle $name "$(printf '"dsseEnvelope":{"payload":"%s","payloadType":"%s","signatures":[{"sig":"%s"}]}' \
        "$(base64_of <statement.json)" "$type" "$signature")" >$name-envelope.json
    # shellcheck disable=SC2086
    signature=$(sign $name.key manifest.json $digest)
    bundle $name "$(printf '"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"%s"},"signature":"%s"}' \
        "$(openssl dgst -sha256 -binary manifest.json | base64_of)" "$signature")" >$name-message.json
done
