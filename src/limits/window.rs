//! The sliding window: a ring of sub-windows in constant memory.
//!
//! A window is cut into [`SUB_WINDOWS`] parts on a grid of absolute time. What is counted at any
//! moment is the part at hand and the [`SUB_WINDOWS`] before it, the oldest of which has partly
//! left the window but still counts whole. So:
//!
//! - **never over**: in any span of the window's length, wherever it begins, no more than the limit
//!   is admitted;
//! - **exact when fresh**: a counter that stood still for a window admits exactly its limit;
//! - **error**: what was admitted may go on counting for up to one part (1/20 of the window, 3 s of
//!   a minute) after it left the window. A client may wait that much longer than an exact log would
//!   make it, never less.
//!
//! A clock that goes back does no harm: the newest part stays the newest.

/// Parts of a window.
pub const SUB_WINDOWS: u64 = 20;
const OLDER: usize = 20;

/// Milliseconds of one part. At least one, and never so short that the parts fall short of the window.
#[must_use]
pub const fn width(window_ms: u64) -> u64 {
    let width = window_ms.div_ceil(SUB_WINDOWS);
    if width == 0 { 1 } else { width }
}

/// Counts of one key. 24 bytes until a second part is used, 80 more from then on.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// Number of the newest part since time began.
    head: u64,
    newest: u32,
    /// Milliseconds of a part.
    width: u32,
    /// The parts before `head`, nearest first.
    older: Option<Box<[u32; OLDER]>>,
}

impl Window {
    pub(super) fn new(window_ms: u64, now_ms: u64) -> Self {
        let width = u32::try_from(width(window_ms)).unwrap_or(u32::MAX);
        Self { head: now_ms / u64::from(width), newest: 0, width, older: None }
    }

    /// Whether this counts windows of that length.
    pub(super) fn is_of(&self, window_ms: u64) -> bool {
        u64::from(self.width) == width(window_ms).min(u64::from(u32::MAX))
    }

    /// Moves on to `now_ms`, dropping what has left.
    pub(super) fn advance(&mut self, now_ms: u64) {
        let now = now_ms / u64::from(self.width);
        let Some(by) = now.checked_sub(self.head).filter(|by| *by > 0) else { return };
        self.head = now;
        let newest = std::mem::take(&mut self.newest);
        let by = usize::try_from(by).unwrap_or(usize::MAX);
        if by > OLDER {
            self.older = None;
            return;
        }
        if newest == 0 && self.older.is_none() {
            return;
        }
        let older = self.older.get_or_insert_with(|| Box::new([0; OLDER]));
        older.copy_within(..OLDER - by, by);
        older[..by].fill(0);
        older[by - 1] = newest;
        if older.iter().all(|count| *count == 0) {
            self.older = None;
        }
    }

    /// All that counts.
    pub(super) fn sum(&self) -> u64 {
        let older = self.older.as_ref().map_or(0, |older| older.iter().map(|count| u64::from(*count)).sum());
        u64::from(self.newest) + older
    }

    /// Counts `amount` in the newest part.
    pub(super) fn add(&mut self, amount: u32) {
        self.newest = self.newest.saturating_add(amount);
    }

    /// Gives back `amount` of what was counted at `at_ms`, if that still counts.
    pub(super) fn refund(&mut self, at_ms: u64, amount: u32) {
        let part = at_ms / u64::from(self.width);
        let Some(back) = self.head.checked_sub(part) else { return };
        let count = match usize::try_from(back).unwrap_or(usize::MAX) {
            0 => Some(&mut self.newest),
            back => self.older.as_mut().and_then(|older| older.get_mut(back - 1)),
        };
        if let Some(count) = count {
            *count = count.saturating_sub(amount);
        }
    }

    /// Milliseconds until `amount` fits under `limit`: when enough of the oldest parts have left.
    pub(super) fn retry_after(&self, now_ms: u64, amount: u64, limit: u64) -> u64 {
        let need = self.sum().saturating_add(amount).saturating_sub(limit);
        let mut freed = 0;
        for (back, count) in self.parts().rev() {
            freed += u64::from(count);
            if freed >= need && count > 0 {
                return self.leaves(back).saturating_sub(now_ms).max(1);
            }
        }
        // More than there ever is: as good an answer as any.
        self.leaves(0).saturating_sub(now_ms).max(1)
    }

    /// Milliseconds until nothing counts any more.
    pub(super) fn reset_after(&self, now_ms: u64) -> u64 {
        let last = self.parts().find(|(_, count)| *count > 0);
        last.map_or(0, |(back, _)| self.leaves(back).saturating_sub(now_ms))
    }

    /// When all that counts now will have left, in milliseconds.
    pub(super) fn expires(&self) -> u64 {
        self.leaves(0)
    }

    /// The parts with how far back they are, newest first.
    fn parts(&self) -> impl DoubleEndedIterator<Item = (u64, u32)> + '_ {
        let older = self.older.as_deref().map_or(&[][..], |older| &older[..]);
        let older = (1_u8..=20).map(u64::from).zip(older.iter().copied());
        std::iter::once((0, self.newest)).chain(older)
    }

    /// When the part `back` before the newest leaves.
    fn leaves(&self, back: u64) -> u64 {
        (self.head - back.min(self.head) + SUB_WINDOWS + 1).saturating_mul(u64::from(self.width))
    }
}
