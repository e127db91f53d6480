//! What keeps the records.

pub mod record;
