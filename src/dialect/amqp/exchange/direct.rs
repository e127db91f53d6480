//! Direct: the routing key equals the binding key.

use std::collections::HashMap;

use bytes::Bytes;

use super::{Destination, Destinations};

#[derive(Debug, Default)]
pub struct Direct {
    keys: HashMap<Bytes, Destinations>,
}

impl Direct {
    pub fn bind(&mut self, destination: Destination, key: &Bytes) {
        self.keys.entry(key.clone()).or_default().add(destination);
    }

    pub fn unbind(&mut self, destination: Destination, key: &Bytes) {
        if let Some(destinations) = self.keys.get_mut(key) {
            destinations.remove(destination);
            if destinations.is_empty() {
                self.keys.remove(key);
            }
        }
    }

    pub fn route(&self, key: &[u8], found: &mut Vec<Destination>) {
        if let Some(destinations) = self.keys.get(key) {
            destinations.push_to(found);
        }
    }
}
