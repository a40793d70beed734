//! One piece of memory for a body that came in many.
//!
//! A large body has pages of its own, which the system has back as soon as it is dropped. In the
//! heap, what is small settles in the holes that large bodies leave, and the next ones do not
//! fit: while 256 MiB were kept and less than 290 in use, glibc held 390 MiB after 20 s of churn,
//! and jemalloc, which rounds sizes up and keeps for a while what is freed, 330 to 360. With pages
//! from 1 MiB on it was 356 to 360 at its peak after 30 s at full speed, and from 256 KiB on it is
//! 335 to 345. They are zeroed when they are new: a miss of such a size takes about a third more
//! CPU time (nearly half more without huge pages). A hit does not notice.

#[cfg(feature = "memory")]
use std::io::Write;

use bytes::{Bytes, BytesMut};

/// A copy of all these pieces, which have `size` bytes together. Each goes when it is copied: there
/// is no time at which all are in memory twice.
pub(crate) fn gather(pieces: impl Iterator<Item = Bytes>, size: usize) -> Bytes {
    #[cfg(feature = "memory")]
    if let Some(mut pages) = pages::Pages::new(size) {
        let mut room = pages.as_mut();
        for piece in pieces {
            // It writes what there is room for, so there is nothing to fail.
            let _ = room.write_all(&piece);
        }
        return Bytes::from_owner(pages);
    }
    let mut whole = BytesMut::with_capacity(size);
    for piece in pieces {
        whole.extend_from_slice(&piece);
    }
    whole.freeze()
}

#[cfg(feature = "memory")]
mod pages {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use memmap2::MmapMut;

    /// From this size on, a body has pages of its own.
    const LARGE: usize = 256 << 10;

    /// How many bodies may have: the system has an end to it (65,530 on Linux, of which others
    /// need some).
    const MOST: usize = 32 * 1024;

    static IN_USE: AtomicUsize = AtomicUsize::new(0);

    /// Memory straight from the system.
    pub(super) struct Pages(MmapMut);

    impl Pages {
        /// `None` for what is small, and where the system has no more.
        pub(super) fn new(size: usize) -> Option<Self> {
            if size < LARGE || IN_USE.load(Ordering::Relaxed) >= MOST {
                return None;
            }
            let pages = MmapMut::map_anon(size).ok()?;
            IN_USE.fetch_add(1, Ordering::Relaxed);
            #[cfg(target_os = "linux")]
            let _ = pages.advise(memmap2::Advice::HugePage); // it is zeroed in half the time
            Some(Pages(pages))
        }

        pub(super) fn as_mut(&mut self) -> &mut [u8] {
            &mut self.0
        }
    }

    impl AsRef<[u8]> for Pages {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Pages {
        fn drop(&mut self) {
            IN_USE.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gathered_is_all_in_order() {
        for size in [0, 1, 4_000, 1 << 20, (2 << 20) + 7] {
            let all: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
            let pieces: Vec<Bytes> = all.chunks(60_000).map(Bytes::copy_from_slice).collect();
            let whole = gather(pieces.into_iter(), size);
            assert!(whole == all, "{size}");
            assert!(whole.slice(size / 2..) == all[size / 2..], "{size}");
        }
    }

    #[cfg(feature = "memory")]
    #[test]
    fn a_large_body_has_pages_of_its_own_until_it_is_dropped() {
        // What allocators return has a header before it, and does not begin with a page.
        let alone = |body: &Bytes| (body.as_ptr() as usize).is_multiple_of(4096);
        let piece = Bytes::from(vec![7; 3 << 20]);
        let body = gather([piece.clone()].into_iter(), piece.len());
        let part = body.slice(1 << 20..);
        assert!(alone(&body) && !alone(&piece));
        drop(body);
        assert_eq!(part, piece.slice(1 << 20..));
    }
}
