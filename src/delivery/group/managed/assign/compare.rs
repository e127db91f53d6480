//! Assignors side by side: how many partitions change hands, and how even it is, as members come and go. The table of
//! `docs/groups.md` is what comes out here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::*;

/// Topics of these sizes, all of which every member wants.
const SIZES: [u32; 3] = [12, 7, 5];

/// What happens, in words, and who is there after it.
const STORY: [(&str, &[&str]); 7] = [
    ("three members start", &["a", "b", "c"]),
    ("a fourth joins", &["a", "b", "c", "d"]),
    ("a fifth joins", &["a", "b", "c", "d", "e"]),
    ("the second leaves", &["a", "c", "d", "e"]),
    ("it comes back under another name", &["a", "b2", "c", "d", "e"]),
    ("the first leaves", &["b2", "c", "d", "e"]),
    ("two more leave", &["c", "e"]),
];

type Assign = fn(&[Subject], &[Applicant<'_>]) -> Vec<BTreeSet<Seat>>;

/// Kafka's RoundRobinAssignor: all partitions in order, one to each member in turn.
fn round_robin(topics: &[Subject], applicants: &[Applicant<'_>]) -> Vec<BTreeSet<Seat>> {
    let mut given = vec![BTreeSet::new(); applicants.len()];
    let all = topics.iter().enumerate().flat_map(|(topic, t)| (0..t.partitions).map(move |partition| Seat { topic, partition }));
    for (turn, seat) in all.enumerate() {
        given[turn % applicants.len()].insert(seat);
    }
    given
}

/// Kafka's StickyAssignor, and the cooperative one, where all want the same: who holds something keeps it up to an even share, and what is
/// over goes to who has less.
fn sticky(topics: &[Subject], applicants: &[Applicant<'_>]) -> Vec<BTreeSet<Seat>> {
    let all = topics.iter().enumerate().flat_map(|(topic, t)| (0..t.partitions).map(move |partition| Seat { topic, partition }));
    let (mut free, mut given): (BTreeSet<Seat>, Vec<_>) = (all.collect(), kept(topics, applicants));
    let share = free.len() / applicants.len();
    // So many may have one more than the share.
    let mut more = free.len() % applicants.len();
    for seats in &mut given {
        let may_keep = share + usize::from(seats.len() > share && more > 0);
        more -= may_keep - share;
        while seats.len() > may_keep {
            seats.pop_last();
        }
        free.retain(|seat| !seats.contains(seat));
    }
    for seat in free {
        let least = given.iter_mut().min_by_key(|seats| seats.len()).expect("there are members");
        least.insert(seat);
    }
    given
}

/// How many partitions moved at each step, and the least and most that a member holds after it.
fn play(assign: Assign) -> Vec<(usize, usize, usize)> {
    let topics: Vec<Subject> =
        SIZES.iter().zip(1..).map(|(partitions, id)| Subject { id: TopicId(id), partitions: *partitions }).collect();
    let mut held: BTreeMap<&str, Places> = BTreeMap::new();
    let mut figures = Vec::new();
    for (_, members) in STORY {
        let nothing = Places::new();
        let applicants: Vec<Applicant<'_>> =
            members.iter().map(|m| Applicant { wants: vec![0, 1, 2], held: held.get(m).unwrap_or(&nothing) }).collect();
        let given = assign(&topics, &applicants);
        let given = given.iter().map(|seats| seats.iter().filter_map(|seat| seat.place(&topics)).collect::<Places>());
        let next: BTreeMap<&str, Places> = members.iter().copied().zip(given).collect();
        // Taken from a member that is still there: what a member that left held has to go to somebody whatever one does.
        let moved = next.iter().map(|(m, places)| held.get(m).map_or(0, |before| before.difference(places).count())).sum();
        let loads = || next.values().map(Places::len);
        figures.push((moved, loads().min().unwrap_or(0), loads().max().unwrap_or(0)));
        held = next;
    }
    figures
}

fn table() -> String {
    let columns: [(&str, Assign); 4] =
        [("range", range::assign), ("round robin", round_robin), ("sticky", sticky), ("uniform", uniform::assign)];
    let mut text = format!("| what happens | {} |\n|---|---|---|---|---|\n", columns.map(|(name, _)| name).join(" | "));
    let figures: Vec<_> = columns.iter().map(|(_, assign)| play(*assign)).collect();
    for (at, (what, _)) in STORY.iter().enumerate() {
        let _ = write!(text, "| {what} |");
        for (moved, least, most) in figures.iter().map(|figures| figures[at]) {
            let _ = write!(text, " {moved} moved, {least} to {most} each |");
        }
        text.push('\n');
    }
    let totals: Vec<usize> = figures.iter().map(|figures| figures.iter().map(|(moved, ..)| moved).sum()).collect();
    let totals: Vec<String> = totals.iter().map(usize::to_string).collect();
    let _ = writeln!(text, "| moved in all | {} |", totals.join(" | "));
    text
}

#[test]
fn the_page_says_what_assignors_do() {
    let page = include_str!("../../../../../docs/groups.md");
    assert!(page.contains(&table()), "docs/groups.md and the assignors differ. From the assignors:\n{}", table());
}
