//! What is nearly always empty, and takes a pointer until it is not.

use std::ops::{Deref, DerefMut};

use crate::log::runs::RunSet;

/// What has an empty value that all can share.
pub(super) trait Empty: Default + 'static {
    const EMPTY: &'static Self;
}

impl Empty for RunSet {
    const EMPTY: &'static Self = &Self::new();
}

/// Looked at as if it were there; made when it is first changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Seldom<T>(Option<Box<T>>);

impl<T> Seldom<T> {
    /// To be changed by what changes nothing where it is empty.
    pub fn if_any(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }
}

impl<T: Empty> Deref for Seldom<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::EMPTY)
    }
}

impl<T: Empty> DerefMut for Seldom<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}
