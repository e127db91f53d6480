//! What an operator can set about groups. Defaults are Kafka's where Kafka has one.

/// Limits and times of all groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSettings {
    /// How long an empty group waits for more members before its first round (`group.initial.rebalance.delay.ms`).
    /// Kafka waits 3000; a single process starts its members closer together.
    pub initial_rebalance_delay_ms: u32,
    /// Shortest session timeout that a member may ask for.
    pub session_timeout_min_ms: u32,
    /// Longest session timeout that a member may ask for.
    pub session_timeout_max_ms: u32,
    /// How long a member of a managed group may be silent (`group.consumer.session.timeout.ms`).
    pub managed_session_timeout_ms: u32,
    /// How often members of managed groups are told to come (`group.consumer.heartbeat.interval.ms`).
    pub managed_heartbeat_interval_ms: u32,
    /// How often is looked for topics that match a pattern, at most.
    pub pattern_refresh_interval_ms: u64,
    /// How long a join of a new member may wait before the member counts as gone.
    pub new_member_timeout_ms: u32,
    /// Members of one group.
    pub members_max: usize,
    /// Groups that exist at the same time.
    pub groups_max: usize,
    /// Bytes of metadata with one committed offset.
    pub offset_metadata_bytes_max: usize,
    /// How long committed offsets stay when nobody uses the group any more.
    pub offsets_retention_ms: u64,
    /// How often is looked for offsets that expired.
    pub offsets_check_interval_ms: u64,
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            initial_rebalance_delay_ms: 100,
            session_timeout_min_ms: 6_000,
            session_timeout_max_ms: 1_800_000,
            managed_session_timeout_ms: 45_000,
            managed_heartbeat_interval_ms: 5_000,
            pattern_refresh_interval_ms: 5_000,
            new_member_timeout_ms: 300_000,
            members_max: 2_000,
            groups_max: 100_000,
            offset_metadata_bytes_max: 4_096,
            offsets_retention_ms: 7 * 24 * 3_600_000,
            offsets_check_interval_ms: 600_000,
        }
    }
}
