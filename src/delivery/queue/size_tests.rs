//! What a queue view takes in memory, pinned: there may be a million of them.

use super::QueueState;
use super::lane::Lane;
use crate::delivery::view::View;

#[test]
fn an_idle_view_takes_little() {
    let sizes = [
        ("a view", size_of::<View>(), 224),
        ("of it, the state", size_of::<QueueState>(), 112),
        ("a partition of a view", size_of::<Lane>(), 152),
    ];
    for (what, bytes, most) in sizes {
        assert!(bytes <= most, "{what} takes {bytes} bytes, and was to take {most} at most");
    }
}
