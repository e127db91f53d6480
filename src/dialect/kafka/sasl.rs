//! Who a client is: SASL PLAIN (RFC 4616) in front of everything else, where users are configured. Without users everybody is in.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::security::Authenticator;

/// The one mechanism that is offered.
pub const MECHANISM: &str = "PLAIN";

const ANYBODY: u8 = 0;
const MECHANISM_CHOSEN: u8 = 1;
const KNOWN: u8 = 2;

/// How far one client has come.
pub struct Access(AtomicU8);

impl Access {
    pub fn new(users: &dyn Authenticator) -> Self {
        Self(AtomicU8::new(if users.open() { KNOWN } else { ANYBODY }))
    }

    /// Whether the client may ask for anything.
    pub fn is_known(&self) -> bool {
        self.0.load(Ordering::Acquire) == KNOWN
    }

    /// Whether a password is what comes next.
    pub fn awaits_token(&self) -> bool {
        self.0.load(Ordering::Acquire) == MECHANISM_CHOSEN
    }

    pub fn choose_mechanism(&self) {
        self.0.store(MECHANISM_CHOSEN, Ordering::Release);
    }

    pub fn admit(&self, admitted: bool) {
        self.0.store(if admitted { KNOWN } else { ANYBODY }, Ordering::Release);
    }
}

/// User and password of a PLAIN token: authorization identity, user and password, with a zero byte between each.
pub fn parse_plain(token: &[u8]) -> Option<(&str, &[u8])> {
    let mut parts = token.splitn(3, |byte| *byte == 0);
    let (_identity, user, password) = (parts.next()?, parts.next()?, parts.next()?);
    Some((std::str::from_utf8(user).ok()?, password))
}

#[cfg(test)]
mod tests {
    use super::parse_plain;

    #[test]
    fn a_plain_token_has_three_parts() {
        assert_eq!(parse_plain(b"\0ann\0secret"), Some(("ann", &b"secret"[..])));
        assert_eq!(parse_plain(b"ann\0ann\0se\0cret"), Some(("ann", &b"se\0cret"[..])));
        assert_eq!(parse_plain(b"\0ann"), None);
        assert_eq!(parse_plain(b""), None);
    }
}
