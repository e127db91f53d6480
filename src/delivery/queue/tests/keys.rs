//! Order by key: how much is looked at, and how much is kept. That it is right, the model of a whole view shows.

use super::*;

const ONE: Option<Holder> = Some(Holder(1));
const TWO: Option<Holder> = Some(Holder(2));

/// Takes with keys by offset, counting how often one is asked for.
fn take(queue: &mut QueueState, asker: Option<Holder>, asked: &mut u64, key_of: impl Fn(u64) -> Option<u64>) -> Option<u64> {
    let key_of = |_, offset| {
        *asked += 1;
        key_of(offset).map(Key)
    };
    queue.take_by_key(Class::All, asker, key_of).map(|taken| taken.offset)
}

#[test]
fn a_record_is_passed_once_and_what_is_passed_is_bounded() {
    let mut queue = queue_of(100_000);
    let mut asked = 0;
    let hot = |_| Some(7);
    assert_eq!(take(&mut queue, ONE, &mut asked, hot), Some(0));
    assert_eq!(take(&mut queue, TWO, &mut asked, hot), None);
    assert_eq!((queue.aside(), queue.ready(Class::All)), (16_384, 99_999));
    // Whoever asks again looks at the head alone, and the holder has its own at once.
    asked = 0;
    for offset in 1..1001 {
        assert_eq!(take(&mut queue, TWO, &mut asked, hot), None);
        assert_eq!(take(&mut queue, ONE, &mut asked, hot), Some(offset));
    }
    assert!(asked <= 4_000, "{asked} keys were looked at");
    (0..1001).for_each(|offset| assert!(queue.accept(0, offset)));
    // Free, it is anyone's, in order, and nothing is looked at a second time.
    asked = 0;
    for offset in 1001..100_000 {
        assert_eq!(take(&mut queue, TWO, &mut asked, hot), Some(offset));
        assert!(queue.accept(0, offset));
    }
    assert!(asked <= 200_000, "{asked} keys were looked at");
    assert!(queue.keys.is_none() && queue.ready(Class::All) == 0, "nothing is kept of what is done");
}

#[test]
fn keys_that_nobody_holds_cost_nothing_and_others_go_on_behind_one_that_is_held() {
    let mut queue = queue_of(50_000);
    let mut asked = 0;
    // Every other record is of the key that is held.
    let key_of = |offset| Some(if offset % 2 == 0 { 0 } else { offset });
    assert_eq!(take(&mut queue, ONE, &mut asked, key_of), Some(0));
    for offset in (1..20_000).step_by(2) {
        assert_eq!(take(&mut queue, TWO, &mut asked, key_of), Some(offset));
        assert!(queue.accept(0, offset));
    }
    assert!(asked <= 20_001, "{asked} keys were looked at");
    assert_eq!(queue.aside(), 9_999);
    // A snapshot knows of no claims: all of them are ready.
    let mut restored = QueueState::restore(&queue.snapshot(), true).unwrap();
    assert_eq!((restored.ready(Class::All), restored.aside()), (40_000, 0));
    assert_eq!(take(&mut restored, TWO, &mut asked, key_of), Some(0));
}

#[test]
fn all_levels_are_distinct() {
    let mut queue = queue_of(256);
    for offset in 0..256 {
        queue.mark(Mark::Level, 0, offset, 1, offset);
    }
    let order: Vec<u64> = std::iter::from_fn(|| queue.pop(End::Head, Class::All)).map(|taken| taken.offset).collect();
    assert_eq!(order, (0..256).rev().collect::<Vec<_>>());
}
