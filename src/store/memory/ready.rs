//! The heads that this thread unpacked last: what is asked for again and again is unpacked once.

use std::{cell::RefCell, sync::Arc};

use super::packed::Packed;
use crate::policy::Head;

/// How many a thread remembers. They are not in any store's budget: it is 2 to 4 MB.
const REMEMBERED: usize = 1024;

/// With the number of what it was made of.
type Ready = Option<(u64, Arc<Head>)>;

thread_local! {
    /// Each at the place that its number leads to.
    static READY: RefCell<Vec<Ready>> = const { RefCell::new(Vec::new()) };
}

/// The head, unpacked, and remembered.
pub(super) fn head(packed: &Packed) -> Arc<Head> {
    READY.with_borrow_mut(|ready| {
        ready.resize(REMEMBERED, None);
        let place = &mut ready[packed.number as usize % REMEMBERED];
        match place {
            Some((number, head)) if *number == packed.number => Arc::clone(head),
            _ => {
                let head = Arc::new(packed.unpack());
                *place = Some((packed.number, Arc::clone(&head)));
                head
            }
        }
    })
}
