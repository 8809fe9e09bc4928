//! Private keys that cosign encrypted with a password: JSON with the parameters of scrypt (RFC 7914) and a box of NaCl
//! (XSalsa20 and Poly1305) around a PKCS#8 key.

use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit as _;
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit as _, StreamCipher as _};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::base64_text::decode;
use super::{KeyError, KeyForm};

/// Maximum memory for decrypting a key, in MiB. cosign's keys need 64.
const MAX_MEMORY: u64 = 256;
/// Maximum size of scrypt's blocks, in units of 128 bytes. cosign's keys have 8.
const MAX_BLOCK_SIZE: u64 = 64;
/// Size of the tag that authenticates a box, in bytes.
const TAG: usize = 16;
/// Size of the key of Poly1305, in bytes: the start of the stream of XSalsa20.
const MAC_KEY: usize = 32;

#[derive(Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    params: Scrypt,
    salt: String,
}

#[derive(Deserialize)]
struct Scrypt {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Returns whether a PEM block with this label is a key that cosign encrypted. cosign 1 wrote the second label.
pub(super) fn is_label(label: &str) -> bool {
    ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"].contains(&label)
}

/// Decrypts a key and returns its PKCS#8 form.
pub(super) fn open(json: &[u8], password: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let sealed: Sealed = serde_json::from_slice(json).map_err(|error| KeyError::Malformed(error.to_string().into()))?;
    if (sealed.kdf.name.as_str(), sealed.cipher.name.as_str()) != ("scrypt", "nacl/secretbox") {
        return Err(KeyError::OtherForm(KeyForm::EncryptedOtherwise));
    }
    let base64 = |text| decode(text).ok_or_else(|| KeyError::Malformed("a value is not valid base64".into()));
    let (salt, nonce) = (base64(&sealed.kdf.salt)?, base64(&sealed.cipher.nonce)?);
    let nonce: [u8; 24] =
        nonce.try_into().map_err(|_| KeyError::Malformed("the nonce does not have 24 bytes".into()))?;
    let boxed = base64(&sealed.ciphertext)?;
    let key = derive(&sealed.kdf.params, password, &salt)?;
    open_box(&key, &nonce, &boxed).ok_or(KeyError::WrongPassword)
}

fn derive(scrypt: &Scrypt, password: &[u8], salt: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let malformed = || KeyError::Malformed("the parameters of scrypt are invalid".into());
    let (r, p) = (u64::from(scrypt.r), u64::from(scrypt.p));
    if !scrypt.n.is_power_of_two() || scrypt.n < 2 || r == 0 || p == 0 {
        return Err(malformed());
    }
    if r > MAX_BLOCK_SIZE || !is_affordable(scrypt.n, r, p).unwrap_or(false) {
        return Err(KeyError::TooCostly { limit: MAX_MEMORY });
    }
    let log_n = u8::try_from(scrypt.n.ilog2()).map_err(|_| malformed())?;
    let params = scrypt::Params::new(log_n, scrypt.r, scrypt.p).map_err(|_| malformed())?;
    let mut key = Zeroizing::new([0; 32]);
    scrypt::scrypt(password, salt, &params, key.as_mut()).map_err(|_| malformed())?;
    Ok(key)
}

/// Whether scrypt stays within the limit; `None` if the numbers overflow. It keeps N blocks of 128 times r bytes, and p
/// blocks both before and after mixing. The time grows with N times p blocks, which the same limit bounds.
fn is_affordable(n: u64, r: u64, p: u64) -> Option<bool> {
    let blocks = n.checked_add(p.checked_mul(2)?)?.max(n.checked_mul(p)?);
    Some(blocks.checked_mul(r)?.checked_mul(128)? <= MAX_MEMORY << 20)
}

/// Opens a box: the tag, then the encrypted text.
fn open_box(key: &[u8; 32], nonce: &[u8; 24], boxed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (tag, encrypted) = boxed.split_at_checked(TAG)?;
    let mut stream = XSalsa20::new(key.into(), nonce.into());
    let mut mac_key = Zeroizing::new([0; MAC_KEY]);
    stream.try_apply_keystream(mac_key.as_mut()).ok()?;
    // Timing reveals nothing to an attacker, who has the file and can try passwords without this program.
    if Poly1305::new((&*mac_key).into()).compute_unpadded(encrypted).as_slice() != tag {
        return None;
    }
    let mut text = Zeroizing::new(encrypted.to_vec());
    stream.try_apply_keystream(&mut text).ok()?;
    Some(text)
}
