//! SHA-256 with a domain in front, so that a digest of one kind of noun can never stand for another.
//!
//! SHA-256 because it has hardware support on every server CPU and a precompile on every EVM chain (address 0x02).

use std::fmt;

use sha2::Digest as _;

/// A SHA-256 digest: 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest that stands for "none yet", as before the first element of a chain.
    pub const ZERO: Self = Self([0; 32]);

    /// Reads 64 hexadecimal digits; anything else is `None`.
    pub fn from_hex(text: &str) -> Option<Self> {
        read_hex(text).map(Self)
    }
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, formatter)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, formatter)
    }
}

pub(crate) fn write_hex(bytes: &[u8], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.chunks(32).try_for_each(|part| {
        let mut text = [0; 64];
        let (pairs, _) = text.as_chunks_mut::<2>();
        for (pair, byte) in pairs.iter_mut().zip(part) {
            *pair = [digit(byte.wrapping_shr(4)), digit(byte & 15)];
        }
        let written = text.get(..part.len().saturating_mul(2)).unwrap_or_default();
        formatter.write_str(str::from_utf8(written).map_err(|_| fmt::Error)?)
    })
}

/// The digit of a number below 16.
const fn digit(number: u8) -> u8 {
    number.wrapping_add(if number < 10 { b'0' } else { b'a'.wrapping_sub(10) })
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    struct Written<'a>(&'a [u8]);
    impl fmt::Display for Written<'_> {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_hex(self.0, formatter)
        }
    }
    Written(bytes).to_string()
}

/// Reads exactly `N` bytes of lower- or upper-case hexadecimal.
pub fn read_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N.checked_mul(2)? {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = hex_digit(*high)?.checked_shl(4)? | hex_digit(*low)?;
    }
    Some(bytes)
}

fn hex_digit(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

/// A running SHA-256 over one domain.
#[derive(Clone)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// Starts with the domain's length (one byte) and its text; a domain is a constant of at most 255 bytes.
    pub fn new(domain: &'static str) -> Self {
        let mut inner = sha2::Sha256::new();
        inner.update([u8::try_from(domain.len()).unwrap_or(u8::MAX)]);
        inner.update(domain.as_bytes());
        Self(inner)
    }

    pub fn update(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(bytes);
        self
    }

    pub fn finish(&self) -> Digest {
        Digest(self.0.clone().finalize().into())
    }
}

/// Digest of `parts`, one after the other, in `domain`. Parts must have fixed lengths or carry their own.
pub fn hash(domain: &'static str, parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::new(domain);
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_in_another_domain_are_another_digest() {
        assert_ne!(hash("og/a", &[b"x"]), hash("og/b", &[b"x"]));
    }

    #[test]
    fn a_digest_is_frozen() {
        assert_eq!(
            hash("og/test", &[b"abc"]).to_string(),
            "05df116f996b1468719c2eacad3d39ff3389ee7f7adc2515e47af0330ee9aa38"
        );
    }

    #[test]
    fn hex_of_the_wrong_length_or_alphabet_is_refused() {
        let digest = hash("og/test", &[]);
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
        assert_eq!(Digest::from_hex("00"), None);
        assert_eq!(Digest::from_hex(&"zz".repeat(32)), None);
        assert_eq!(Digest::from_hex(&"é".repeat(32)), None);
    }
}
