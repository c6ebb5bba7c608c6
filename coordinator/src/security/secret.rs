//! Tokens: random bits in, a text that is shown once out; and what is stored of it.

use std::fmt::Write as _;

use super::Role;

/// What every token begins with, so that people and scanners of secrets know one when they see it.
const PREFIX: &str = "tessera";

/// Random bytes of a token.
const BYTES: usize = 32;

/// Random bytes of an id.
const ID: usize = 4;

/// A new token of a role: `tessera-ROLE-` and 64 hexadecimal digits.
///
/// # Errors
/// The system has no random numbers.
pub(super) fn token(role: Role) -> Result<String, getrandom::Error> {
    Ok(format!("{PREFIX}-{role}-{}", random(BYTES)?))
}

/// A name for a credential that is no secret.
///
/// # Errors
/// The system has no random numbers.
pub(super) fn id() -> Result<String, getrandom::Error> {
    random(ID)
}

/// What is stored of a token or of a certificate's DER.
pub(super) fn hash(secret: &[u8]) -> [u8; 32] {
    blake3::hash(secret).into()
}

fn random(count: usize) -> Result<String, getrandom::Error> {
    let mut bytes = vec![0; count];
    getrandom::fill(&mut bytes)?;
    let mut text = String::with_capacity(2 * count);
    for byte in bytes {
        // A string takes all that is written to it.
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_tell_what_they_are_for() {
        let (one, two) = (token(Role::Worker).unwrap(), token(Role::Worker).unwrap());
        assert_ne!(one, two);
        assert_eq!(one.len(), "tessera-worker-".len() + 64);
        assert!(one.starts_with("tessera-worker-"), "{one}");
        assert_ne!(hash(one.as_bytes()), hash(two.as_bytes()));
        assert_eq!(id().unwrap().len(), 8);
    }
}
