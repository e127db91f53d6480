//! Fanout: everything that is bound, whatever the key.

use super::{Destination, Destinations};

#[derive(Debug, Default)]
pub struct Fanout {
    destinations: Destinations,
}

impl Fanout {
    pub fn bind(&mut self, destination: Destination) {
        self.destinations.add(destination);
    }

    pub fn unbind(&mut self, destination: Destination) {
        self.destinations.remove(destination);
    }

    pub fn route(&self, found: &mut Vec<Destination>) {
        self.destinations.push_to(found);
    }
}
