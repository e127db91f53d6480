//! The users of the configuration. A password is given as an Argon2 hash (PHC string, `$argon2id$...`) or in the clear.
//!
//! A clear password is compared by digest, in time that does not depend on it. A hash takes tens of milliseconds of work by
//! design, so it runs off the connection's thread, few at a time, and a password that once passed is remembered by a keyed
//! digest: a client that opens connections by the hundred pays once.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHashString, PasswordHasher, PasswordVerifier, SaltString};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::Semaphore;

use super::Authenticator;

/// Hashes that may be computed at once: each takes a core and about 19 MiB.
const HASHES_AT_ONCE: usize = 2;
/// Longer passwords are refused before they are hashed.
const PASSWORD_BYTES_MAX: usize = 1024;

/// Why the configured users cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum UserError {
    #[error("security.users.{user}: the password starts with `$` but is no Argon2 hash in PHC form")]
    InvalidHash { user: String },
    #[error("security.users.{user}: the password is empty")]
    EmptyPassword { user: String },
}

/// Why a password cannot be hashed.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PasswordError {
    #[error("a password has 1 to {PASSWORD_BYTES_MAX} bytes")]
    Length,
    #[error("the password cannot be hashed: {0}")]
    Hash(argon2::password_hash::Error),
}

/// The Argon2id hash of a password with a salt of its own, in PHC form, as [`Users`] takes it.
pub fn hash_password(password: &[u8]) -> Result<String, PasswordError> {
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::Length);
    }
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).map_err(PasswordError::Hash)?;
    let hash = Argon2::default().hash_password(password, &salt).map_err(PasswordError::Hash)?;
    Ok(hash.to_string())
}

/// The configured users.
pub struct Users {
    users: HashMap<String, Secret>,
    passed: Mutex<HashMap<String, Digest>>,
    hashing: Semaphore,
    decoy: Option<Arc<PasswordHashString>>,
    key: Digest,
}

enum Secret {
    Clear(Digest),
    Hash(Arc<PasswordHashString>),
}

type Digest = [u8; 32];

impl Users {
    /// Takes (name, password or hash) pairs. None at all makes the gateway open.
    pub fn new(users: impl IntoIterator<Item = (String, String)>) -> Result<Self, UserError> {
        let key = rand::random();
        let mut known = HashMap::new();
        let mut decoy = None;
        for (user, password) in users {
            let secret = secret(&key, &user, &password)?;
            if let Secret::Hash(hash) = &secret {
                decoy = Some(Arc::clone(hash));
            }
            known.insert(user, secret);
        }
        let passed = Mutex::default();
        Ok(Self { users: known, passed, hashing: Semaphore::new(HASHES_AT_ONCE), decoy, key })
    }

    async fn check(&self, user: &str, password: &[u8]) -> bool {
        if password.len() > PASSWORD_BYTES_MAX {
            return false;
        }
        let digest = digest(&self.key, password);
        match self.users.get(user) {
            Some(Secret::Clear(known)) => equal(known, &digest),
            Some(Secret::Hash(hash)) => self.check_hash(user, password, digest, Arc::clone(hash)).await,
            None => self.check_unknown(password).await,
        }
    }

    async fn check_hash(&self, user: &str, password: &[u8], digest: Digest, hash: Arc<PasswordHashString>) -> bool {
        let remembered = self.passed.lock().get(user).copied();
        if remembered.is_some_and(|known| equal(&known, &digest)) {
            return true;
        }
        let right = self.verify_hash(password, hash).await;
        if right {
            self.passed.lock().insert(user.to_owned(), digest);
        }
        right
    }

    /// The work of a wrong password, so that the time taken does not tell which names exist.
    async fn check_unknown(&self, password: &[u8]) -> bool {
        if let Some(hash) = &self.decoy {
            self.verify_hash(password, Arc::clone(hash)).await;
        }
        false
    }

    async fn verify_hash(&self, password: &[u8], hash: Arc<PasswordHashString>) -> bool {
        let Ok(_permit) = self.hashing.acquire().await else {
            return false;
        };
        let password = password.to_vec();
        let verify = move || Argon2::default().verify_password(&password, &hash.password_hash()).is_ok();
        tokio::task::spawn_blocking(verify).await.unwrap_or(false)
    }
}

impl Authenticator for Users {
    fn verify<'a>(&'a self, user: &'a str, password: &'a [u8]) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move { self.open() || self.check(user, password).await })
    }

    fn open(&self) -> bool {
        self.users.is_empty()
    }
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

fn secret(key: &Digest, user: &str, password: &str) -> Result<Secret, UserError> {
    if password.is_empty() {
        return Err(UserError::EmptyPassword { user: user.to_owned() });
    }
    if !password.starts_with('$') {
        return Ok(Secret::Clear(digest(key, password.as_bytes())));
    }
    let parsed = PasswordHashString::new(password).map_err(|_| UserError::InvalidHash { user: user.to_owned() })?;
    let complete = parsed.salt().is_some() && parsed.hash().is_some();
    if !complete || !parsed.algorithm().as_str().starts_with("argon2") {
        return Err(UserError::InvalidHash { user: user.to_owned() });
    }
    Ok(Secret::Hash(Arc::new(parsed)))
}

/// A digest that only this process can compute: BLAKE2b over the key, which has a fixed length, and the password.
fn digest(key: &Digest, password: &[u8]) -> Digest {
    use blake2::Digest as _;
    let mut hasher = blake2::Blake2b::<blake2::digest::consts::U32>::new();
    hasher.update(key);
    hasher.update(password);
    hasher.finalize().into()
}

/// Compares without stopping at the first difference.
fn equal(left: &Digest, right: &Digest) -> bool {
    use subtle::ConstantTimeEq;
    left.ct_eq(right).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(pairs: &[(&str, &str)]) -> Result<Users, UserError> {
        Users::new(pairs.iter().map(|(user, password)| ((*user).to_owned(), (*password).to_owned())))
    }

    fn hashed(password: &str) -> String {
        hash_password(password.as_bytes()).expect("a hash")
    }

    #[test]
    fn one_password_never_has_the_same_hash_twice() {
        assert_ne!(hashed("secret"), hashed("secret"));
        assert_eq!(hash_password(b""), Err(PasswordError::Length));
    }

    #[tokio::test]
    async fn a_clear_password_lets_in_and_another_does_not() {
        let users = users(&[("ann", "secret")]).expect("valid");
        assert!(!users.open());
        assert!(users.verify("ann", b"secret").await);
        assert!(!users.verify("ann", b"Secret").await);
        assert!(!users.verify("bob", b"secret").await);
    }

    #[tokio::test]
    async fn a_hashed_password_lets_in_and_is_remembered() {
        let users = users(&[("ann", &hashed("secret"))]).expect("valid");
        assert!(!users.verify("ann", b"wrong").await);
        assert!(users.passed.lock().is_empty());
        assert!(users.verify("ann", b"secret").await);
        assert!(users.passed.lock().contains_key("ann"));
        assert!(users.verify("ann", b"secret").await);
        assert!(!users.verify("ann", b"wrong").await);
        assert!(!users.verify("nobody", b"secret").await);
    }

    #[tokio::test]
    async fn without_users_everybody_is_let_in() {
        let users = users(&[]).expect("valid");
        assert!(users.open());
        assert!(users.verify("guest", b"guest").await);
    }

    #[test]
    fn a_hash_that_is_none_is_refused_by_name() {
        let error = users(&[("ann", "$argon2id$nonsense")]).expect_err("invalid");
        assert_eq!(error, UserError::InvalidHash { user: "ann".to_owned() });
        assert!(matches!(users(&[("ann", "")]), Err(UserError::EmptyPassword { .. })));
    }
}
