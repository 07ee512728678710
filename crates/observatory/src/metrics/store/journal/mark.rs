//! Until when a record matters.

/// A time as a mark; what is before 1970 counts as then.
pub(super) fn mark(at: i64) -> u64 {
    u64::try_from(at).unwrap_or(0)
}
