//! Where a series is named on the disk.

/// Where a series is named in the files.
#[derive(Clone, Copy, Debug)]
pub(super) struct Named {
    pub(super) file: u64,
    pub(super) id: u32,
}

impl Named {
    pub(super) const NOWHERE: Self = Self { file: u64::MAX, id: 0 };
}
