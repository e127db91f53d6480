//! All consumer groups of the process: the handle that dialects hold.
//!
//! A thin shell over [`super::Group`]: one lock, one timer task, a future per request that has to wait. The lock is taken
//! before a [`crate::delivery::Unit`] begins: never call in here while you hold one.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::commits::wall_clock_ms;
use super::journal::Floors;
use super::managed::{Beat, BeatAnswer, ManagedDescription, Sharing};
use super::offsets::OffsetTable;
use super::request::{Caller, Departure, Join, Joined, MemberId, Sync, Synced};
use super::table::GroupTable;
use super::{GroupDescription, GroupError, GroupListing, GroupSettings};
use crate::delivery::{Delivery, StartError};
use crate::log::Barrier;

/// Longest group name, in bytes: what Kafka's record of an offset can hold.
const NAME_BYTES_MAX: usize = i16::MAX as usize;

/// Cheap handle on all groups.
#[derive(Clone)]
pub struct Groups {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) delivery: Delivery,
    pub(super) settings: Arc<GroupSettings>,
    pub(super) table: Mutex<GroupTable>,
    /// A leaf lock: nothing else is locked while it is held, save that a unit commits under it.
    pub(super) offsets: Arc<RwLock<OffsetTable>>,
    started: Instant,
    started_ms: u64,
    alarm_changed: Notify,
}

impl Groups {
    /// The groups as the journal knows them. Call within the runtime.
    ///
    /// # Errors
    /// What the journal holds could not be read.
    pub fn open(delivery: Delivery, settings: GroupSettings) -> Result<Self, StartError> {
        let offsets = Arc::new(RwLock::new(OffsetTable::default()));
        let settings = Arc::new(settings);
        let shared = Shared {
            table: Mutex::new(GroupTable::new(settings.clone())),
            started: Instant::now(),
            started_ms: u64::try_from(wall_clock_ms()).unwrap_or(0),
            alarm_changed: Notify::new(),
            offsets: offsets.clone(),
            delivery,
            settings,
        };
        let groups = Self { shared: Arc::new(shared) };
        groups.load()?;
        groups.shared.delivery.add_holder(Arc::new(Floors(offsets)));
        Ok(groups)
    }

    /// An id for a new member, unique for ever, that shows whose it is.
    pub fn fresh_member_id(owner: &str) -> MemberId {
        let n = rand::random::<u128>();
        let (a, b, c, d, e) = (n >> 96, (n >> 80) & 0xffff, (n >> 64) & 0xffff, (n >> 48) & 0xffff, n & 0xffff_ffff_ffff);
        Arc::from(format!("{owner}-{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}"))
    }

    /// Becomes or stays a member. Waits until the round has found its members together.
    ///
    /// # Errors
    /// As the group answers; besides, a session timeout out of bounds, a bad name, or one group too many.
    pub async fn join(&self, group: &Arc<str>, join: Join) -> Result<Joined, GroupError> {
        check_name(group)?;
        let settings = &self.shared.settings;
        if !(settings.session_timeout_min_ms..=settings.session_timeout_max_ms).contains(&join.session_timeout_ms) {
            return Err(GroupError::InvalidSessionTimeout);
        }
        let answer = self.in_table(|table, now_ms| table.join(group, &join, now_ms))?;
        answer.await.unwrap_or(Err(GroupError::Unavailable))
    }

    /// Asks for the member's assignment. Waits for the leader's.
    ///
    /// # Errors
    /// As the group answers.
    pub async fn sync(&self, group: &Arc<str>, sync: Sync) -> Result<Synced, GroupError> {
        check_name(group)?;
        let answer = self.in_table(|table, now_ms| table.sync(group, &sync, now_ms))?;
        answer.await.unwrap_or(Err(GroupError::Unavailable))
    }

    /// A sign of life.
    ///
    /// # Errors
    /// As the group answers, see [`super::Group::heartbeat`].
    pub fn heartbeat(&self, group: &Arc<str>, caller: &Caller) -> Result<(), GroupError> {
        check_name(group)?;
        let now_ms = self.now_ms();
        let mut table = self.shared.table.lock();
        // A heartbeat only puts deadlines off, so no alarm has to be set for it.
        let led = table.get_mut(group).and_then(|entry| entry.group.led_mut());
        led.ok_or(GroupError::UnknownMember)?.heartbeat(caller, now_ms)
    }

    /// Members go. One answer each, in order.
    ///
    /// # Errors
    /// [`GroupError::UnknownMember`] if there is no such group.
    pub fn leave(&self, group: &Arc<str>, members: &[Departure]) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        check_name(group)?;
        let answers = self.in_table(|table, now_ms| table.step(group, now_ms, |g, step| g.leave(members, step)));
        answers.ok_or(GroupError::UnknownMember)
    }

    /// All groups, in no order.
    pub fn list(&self) -> Vec<GroupListing> {
        self.shared.table.lock().iter().map(|(name, entry)| entry.group.listing(name)).collect()
    }

    /// One group that a member leads, `None` if there is no such group.
    pub fn describe(&self, group: &Arc<str>) -> Option<GroupDescription> {
        self.shared.table.lock().get(group)?.group.led().map(|led| led.describe(group))
    }

    /// One managed group, `None` if there is no such group. Not to be told before the position is durable.
    pub fn describe_managed(&self, group: &Arc<str>, sharing: Sharing) -> Option<(ManagedDescription, Barrier)> {
        let table = self.shared.table.lock();
        let entry = table.get(group)?;
        let managed = entry.group.managed().filter(|managed| managed.sharing() == sharing)?;
        Some((managed.describe(entry.group.listing(group)), entry.kept))
    }

    /// A member of a managed group comes, goes, or shows that it is there. The answer may be told once the position is durable:
    /// then no crash can give its partitions to another as if it had never had them.
    ///
    /// # Errors
    /// As the group answers, see [`super::Managed::beat`]; besides, a bad name, one group too many, a join into a group of
    /// another kind that is not empty ([`GroupError::NotFound`]), or [`GroupError::Unavailable`] if the log takes no more.
    pub fn beat(&self, group: &Arc<str>, sharing: Sharing, beat: &Beat) -> Result<(BeatAnswer, Barrier), GroupError> {
        check_name(group)?;
        self.shared.delivery.log().admit().map_err(|_refused| GroupError::Unavailable)?;
        let log = self.shared.delivery.log();
        self.in_table_kept(
            |table, now_ms| table.beat(group, sharing, beat, log, now_ms),
            |table, answer| Ok((answer?, table.get(group).map_or(Barrier::NONE, |entry| entry.kept))),
        )
    }

    /// Keeps time for all groups until `shutdown` completes. Without it nobody's wait ends.
    pub async fn run_timers(&self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let check_every = Duration::from_millis(self.shared.settings.offsets_check_interval_ms.max(1));
        let mut next_check = Instant::now() + check_every;
        loop {
            let alarm = self.shared.table.lock().next_alarm_ms();
            let alarm = alarm.map_or(next_check, |at_ms| self.instant(at_ms));
            tokio::select! {
                () = &mut shutdown => return,
                () = self.shared.alarm_changed.notified() => {}
                () = tokio::time::sleep_until(alarm.min(next_check)) => {}
            }
            self.in_table(GroupTable::tick);
            if next_check <= Instant::now() {
                self.drop_expired();
                next_check = Instant::now() + check_every;
            }
        }
    }

    /// Milliseconds on the clock of the groups: since 1970 when it started, and never back from there.
    pub(super) fn now_ms(&self) -> u64 {
        let elapsed_ms = u64::try_from(self.shared.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.shared.started_ms.saturating_add(elapsed_ms)
    }

    fn instant(&self, at_ms: u64) -> Instant {
        self.shared.started + Duration::from_millis(at_ms.saturating_sub(self.shared.started_ms))
    }

    /// Runs something under the lock, and tells the timer task if it is to wake earlier than it thinks.
    fn in_table<T>(&self, call: impl FnOnce(&mut GroupTable, u64) -> T) -> T {
        self.in_table_kept(call, |_, result| result)
    }

    /// The same, with a second look when what changed has its position in the journal.
    fn in_table_kept<T, U>(&self, call: impl FnOnce(&mut GroupTable, u64) -> T, then: impl FnOnce(&GroupTable, T) -> U) -> U {
        let now_ms = self.now_ms();
        let mut table = self.shared.table.lock();
        let before = table.next_alarm_ms();
        let result = call(&mut table, now_ms);
        self.save(&mut table);
        let result = then(&table, result);
        let after = table.next_alarm_ms();
        drop(table);
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.shared.alarm_changed.notify_one();
        }
        result
    }
}

pub(super) fn check_name(group: &str) -> Result<(), GroupError> {
    if group.is_empty() || group.len() > NAME_BYTES_MAX { Err(GroupError::InvalidName) } else { Ok(()) }
}
