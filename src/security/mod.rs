//! Who may connect. Dialects hand over a name and a password in whatever way their protocol carries them, and learn yes or no.
//!
//! Without users in the configuration the gateway is open: everybody is let in, which is why it listens on loopback by default.

mod users;

use std::future::Future;
use std::pin::Pin;

pub use users::{PasswordError, UserError, Users, hash_password};

/// Checks passwords.
pub trait Authenticator: Send + Sync + 'static {
    /// Whether `password` is that of `user`. An unknown user takes as long as a wrong password.
    ///
    /// An open authenticator says yes to everybody.
    fn verify<'a>(&'a self, user: &'a str, password: &'a [u8]) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

    /// Whether no users are configured, so that nobody has to prove anything.
    fn open(&self) -> bool;
}

/// Lets everybody in.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

impl Authenticator for Open {
    fn verify<'a>(&'a self, _: &'a str, _: &'a [u8]) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(std::future::ready(true))
    }

    fn open(&self) -> bool {
        true
    }
}
