//! Looks for one key that are wanted at the same time, as one.
//!
//! Where a thousand ask for what is not at hand, the far tier is asked by one at a time, and each
//! time for all who have come meanwhile. Nobody is told what came of a look that was begun before
//! they came: it may be from before a purge that they know of.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Turns, OnceCell};

use super::{StoreError, table::Table};
use crate::policy::Key;

/// The looks that are under way, or wanted.
pub(super) struct Together<T>(Table<Place<T>>);

struct Place<T> {
    /// Held by the one who looks.
    turns: Turns<()>,
    next: Mutex<Option<Round<T>>>,
}

/// A look, and what came of it; nothing if it failed.
type Round<T> = Arc<OnceCell<Option<T>>>;

impl<T: Clone> Together<T> {
    pub(super) fn new() -> Self {
        Together(Table::new())
    }

    /// What came of `look`, or of that of another who wanted it at the same time.
    pub(super) async fn look(
        &self,
        key: &Key,
        look: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let place = self.0.get_or(key, || Place {
            turns: Turns::new(()),
            next: Mutex::new(None),
        });
        let round = Arc::clone(place.next().get_or_insert_default());
        let mut failed = None;
        let looked = round.get_or_init(async || {
            let _turn = place.turns.lock().await;
            // Who comes from here on has another.
            place.next().take_if(|next| Arc::ptr_eq(next, &round));
            look.await.map_err(|error| failed = Some(error)).ok()
        });
        let looked = looked.await.clone();
        let error = || failed.unwrap_or_else(|| StoreError::new("a look for many has failed"));
        looked.ok_or_else(error)
    }
}

impl<T> Place<T> {
    fn next(&self) -> MutexGuard<'_, Option<Round<T>>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use tokio::{
        sync::{Semaphore, SemaphorePermit},
        task::{JoinSet, yield_now},
    };

    use super::*;

    static LOOKS: AtomicU32 = AtomicU32::new(0);

    /// Waits until it may go on, and tells how many went on before.
    async fn numbered(go: Arc<Semaphore>) -> Result<u32, StoreError> {
        go.acquire().await.map(SemaphorePermit::forget).unwrap();
        match LOOKS.fetch_add(1, SeqCst) {
            2 => Err(StoreError::new("the third")),
            number => Ok(number),
        }
    }

    #[tokio::test]
    async fn those_who_come_while_one_looks_share_the_next() {
        let together = Arc::new(Together::new());
        let key = Key::parse("GET http://a/");
        let go = Arc::new(Semaphore::new(0));
        let mut asking = JoinSet::new();
        for n in 0..100 {
            let (together, key, go) = (Arc::clone(&together), key.clone(), Arc::clone(&go));
            asking.spawn(async move { (n, together.look(&key, numbered(go)).await.ok()) });
            yield_now().await;
        }
        go.add_permits(1);
        assert_eq!(asking.join_next().await.unwrap().unwrap(), (0, Some(0)));
        go.add_permits(1);
        let told = asking.join_all().await;
        assert!(told.iter().all(|(_, looked)| *looked == Some(1)));
        go.add_permits(2);
        assert!(
            together
                .look(&key, numbered(Arc::clone(&go)))
                .await
                .is_err()
        );
        assert_eq!(together.look(&key, numbered(go)).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn who_leaves_takes_nobody_along() {
        let together = Arc::new(Together::new());
        let key = Key::parse("GET http://a/");
        let asking: Vec<_> = (0..3)
            .map(|n| {
                let (together, key) = (Arc::clone(&together), key.clone());
                tokio::spawn(async move {
                    let look = async {
                        match n {
                            0 | 1 => std::future::pending().await,
                            n => Ok(n),
                        }
                    };
                    together.look(&key, look).await.unwrap()
                })
            })
            .collect();
        yield_now().await;
        asking[0].abort();
        yield_now().await;
        asking[1].abort();
        assert_eq!(asking.into_iter().next_back().unwrap().await.unwrap(), 2);
    }
}
