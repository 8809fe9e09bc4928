use std::time::{Duration, SystemTime};

use pgp::composed::{SignedPublicKey, SignedPublicSubKey};
use pgp::packet::{KeyFlags, Signature, SignatureType};
use pgp::types::{KeyDetails as _, Tag, Timestamp};

use super::Rejection;

/// Checks that a key, or its subkey, may sign now.
pub(super) fn signing_key_state(
    key: &SignedPublicKey,
    subkey: Option<&SignedPublicSubKey>,
    now: SystemTime,
) -> Result<(), Rejection> {
    let primary = &key.primary_key;
    if key.details.revocation_signatures.iter().any(|revocation| revocation.verify_key(primary).is_ok()) {
        return Err(Rejection::Revoked);
    }
    let newest = newest(self_signatures(key)).ok_or(Rejection::NotForSigning)?;
    check_expiry(newest, primary.created_at(), now)?;
    match subkey {
        None => check_flags(newest),
        Some(subkey) => check_subkey(key, subkey, now),
    }
}

/// Returns the valid signatures of a key about itself: of each user name, and of the key directly.
fn self_signatures(key: &SignedPublicKey) -> impl Iterator<Item = &Signature> {
    let primary = &key.primary_key;
    let direct = key.details.direct_signatures.iter();
    let direct =
        direct.filter(|signature| signature.typ() == Some(SignatureType::Key) && signature.verify_key(primary).is_ok());
    let users =
        key.details.users.iter().flat_map(|user| user.signatures.iter().map(move |signature| (user, signature)));
    let users = users.filter(|(user, signature)| {
        let is_revocation = signature.typ() == Some(SignatureType::CertRevocation);
        !is_revocation && signature.verify_certification(primary, Tag::UserId, &user.id).is_ok()
    });
    direct.chain(users.map(|(_, signature)| signature))
}

fn check_subkey(key: &SignedPublicKey, subkey: &SignedPublicSubKey, now: SystemTime) -> Result<(), Rejection> {
    let verified = subkey.signatures.iter();
    let verified = verified.filter(|signature| signature.verify_subkey_binding(&key.primary_key, &subkey.key).is_ok());
    let (revocations, bindings): (Vec<_>, Vec<_>) =
        verified.partition(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation));
    if !revocations.is_empty() {
        return Err(Rejection::Revoked);
    }
    let newest = newest(bindings).ok_or(Rejection::NotForSigning)?;
    check_expiry(newest, subkey.key.created_at(), now)?;
    check_flags(newest)?;
    // Without this proof, someone could add the subkey of another person to the own key.
    let back = newest.embedded_signature().ok_or(Rejection::NotForSigning)?;
    back.verify_primary_key_binding(&subkey.key, &key.primary_key).map_err(|_| Rejection::NotForSigning)
}

fn newest<'s>(signatures: impl IntoIterator<Item = &'s Signature>) -> Option<&'s Signature> {
    signatures.into_iter().max_by_key(|signature| signature.created())
}

/// Checks that a key may sign. Old keys do not say what they are for.
fn check_flags(newest: &Signature) -> Result<(), Rejection> {
    let flags = newest.key_flags();
    if flags.sign() || flags == KeyFlags::default() { Ok(()) } else { Err(Rejection::NotForSigning) }
}

fn check_expiry(newest: &Signature, created: Timestamp, now: SystemTime) -> Result<(), Rejection> {
    let lifetime = newest.key_expiration_time().map_or(0, |lifetime| lifetime.as_secs());
    if is_over(created, lifetime, now) { Err(Rejection::Expired("the key")) } else { Ok(()) }
}

/// Returns whether a lifetime in seconds is over. Zero is unlimited.
pub(super) fn is_over(created: Timestamp, lifetime: u32, now: SystemTime) -> bool {
    lifetime != 0 && SystemTime::from(created) + Duration::from_secs(lifetime.into()) <= now
}
