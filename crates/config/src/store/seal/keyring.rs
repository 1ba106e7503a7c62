//! The keys that secrets are sealed with, and how.
//!
//! AES-128 in CBC mode with PKCS #7, in base64; a key is its own initialisation
//! vector. So the same text always becomes the same, which is what lets a sealed
//! text be recognised; and it is what APISIX does (`apisix.data_encryption`), so
//! that both can read what either has written. It tells nobody who reads a file
//! what the secrets are; it does not tell whether somebody has changed them.

use std::fmt;
use std::str::FromStr;

use aes::Aes128;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};

/// Bytes of a key, and of a block.
const BLOCK: usize = 16;

/// A key of 16 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey([u8; BLOCK]);

/// A text is no [`SealKey`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a key of {BLOCK} bytes, got {got}")]
pub struct NotASealKey {
    got: usize,
}

impl FromStr for SealKey {
    type Err = NotASealKey;

    fn from_str(text: &str) -> Result<Self, NotASealKey> {
        let got = text.len();
        let bytes = text.as_bytes().try_into();
        bytes.map(Self).map_err(|_| NotASealKey { got })
    }
}

/// Tells nothing of the key.
impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey")
    }
}

impl SealKey {
    fn seal(&self, text: &str) -> String {
        let cipher = cbc::Encryptor::<Aes128>::new(&self.0.into(), &self.0.into());
        STANDARD.encode(cipher.encrypt_padded_vec::<Pkcs7>(text.as_bytes()))
    }

    fn open(&self, sealed: &[u8]) -> Option<String> {
        let cipher = cbc::Decryptor::<Aes128>::new(&self.0.into(), &self.0.into());
        let plain = cipher.decrypt_padded_vec::<Pkcs7>(sealed).ok()?;
        String::from_utf8(plain).ok()
    }
}

/// The keys, the one that seals first.
///
/// To change it, put the new one before the old one: what was sealed with the old one is
/// still opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring(Vec<SealKey>);

impl Keyring {
    /// These keys.
    pub fn new(keys: Vec<SealKey>) -> Self {
        Self(keys)
    }

    /// `text`, sealed with the first key; as it is if there is none.
    pub fn seal(&self, text: &str) -> String {
        self.0
            .first()
            .map_or_else(|| text.to_owned(), |key| key.seal(text))
    }

    /// What was sealed to become `text`; none if no key opens it.
    pub fn open(&self, text: &str) -> Option<String> {
        // Most texts that are not sealed are told from those that are by their length.
        if text.is_empty() || !text.len().is_multiple_of(4) {
            return None;
        }
        let sealed = STANDARD.decode(text).ok()?;
        if sealed.is_empty() || !sealed.len().is_multiple_of(BLOCK) {
            return None;
        }
        self.0.iter().find_map(|key| key.open(&sealed))
    }
}

impl Default for Keyring {
    /// APISIX's default, which everybody knows.
    fn default() -> Self {
        let keys = [*b"qeddd145sfvddff3", *b"edd1c9f0985e76a2"];
        Self(keys.map(SealKey).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(keys: &[&str]) -> Keyring {
        Keyring::new(keys.iter().map(|key| key.parse().unwrap()).collect())
    }

    /// Texts with what APISIX 3.16 made of them by its default keyring.
    const RECORDED: [(&str, &str); 4] = [
        ("k1", "sGfoff/k5TVaPiyGca5e5w=="),
        ("p", "n+P1VeClZzq3tyjZVsPmcg=="),
        ("jack-key", "1jhUSuP5Dz3oF/IEiJ1SAg=="),
        ("AQJyYXf/", "oj+5T9GfH7nRaFcjhRvH6w=="),
    ];

    #[test]
    fn it_is_what_apisix_does() {
        let default = Keyring::default();
        for (plain, sealed) in RECORDED {
            assert_eq!(default.seal(plain), sealed);
            assert_eq!(default.open(sealed).as_deref(), Some(plain));
        }
    }

    #[test]
    fn any_text_comes_back() {
        let default = Keyring::default();
        for len in 0..100 {
            let text = "ä€x".repeat(len);
            let sealed = default.seal(&text);
            assert_ne!(sealed, text);
            assert_eq!(default.open(&sealed), Some(text));
        }
    }

    #[test]
    fn the_first_key_seals_and_each_opens() {
        let (old, new) = ("0123456789abcdef", "fedcba9876543210");
        let sealed = keyring(&[old]).seal("secret");
        let rotated = keyring(&[new, old]);
        assert_eq!(rotated.open(&sealed).as_deref(), Some("secret"));
        let again = rotated.seal("secret");
        assert_ne!(again, sealed);
        assert_eq!(keyring(&[new]).open(&again).as_deref(), Some("secret"));
        assert_eq!(keyring(&[old]).open(&again), None);
        assert_eq!(keyring(&[]).seal("secret"), "secret");
        assert_eq!(keyring(&[]).open(&again), None);
    }

    #[test]
    fn what_was_not_sealed_is_not_opened() {
        let default = Keyring::default();
        for text in [
            "",
            "plain",
            "AAAA",
            "sGfoff/k5TVaPiyGca5e5w=",
            "AAAAAAAAAAAAAAAAAAAAAA==",
            "edd1c9f034335f136f87ad84b625c8f1",
            "$env://KEY",
        ] {
            assert_eq!(default.open(text), None, "{text}");
        }
    }

    #[test]
    fn a_key_has_sixteen_bytes() {
        let short = "short".parse::<SealKey>().unwrap_err();
        assert_eq!(short.to_string(), "expected a key of 16 bytes, got 5");
        let shown = format!("{:?}", Keyring::default());
        assert!(!shown.contains("qeddd"), "{shown}");
    }
}
