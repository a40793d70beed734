//! The whole cache against a simple, slow reference: random origins, requests, purges and clock
//! steps, in virtual time.
//!
//! `LARDER_MODEL_SEED` runs other histories than the usual ones, `LARDER_MODEL_HISTORIES` more or
//! fewer of them.

#![allow(clippy::unwrap_used)]

mod chance;
mod fields;
mod history;
mod origin;
mod reference;
mod run;

use std::thread;

use history::History;
use run::{Divergence, run};

const STEPS: usize = 50;
const THREADS: u64 = 2;

#[test]
fn the_cache_does_as_the_reference_does() {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = number("LARDER_MODEL_SEED").unwrap_or(9111);
    let histories = number("LARDER_MODEL_HISTORIES").unwrap_or(2000);
    let threads = (0..THREADS).map(|own| {
        let mine = (0..histories).filter(move |n| n % THREADS == own);
        thread::spawn(move || mine.for_each(|n| examine(seed, n)))
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
}

fn examine(seed: u64, n: u64) {
    let history = History::random(seed.wrapping_mul(1_000_003).wrapping_add(n), STEPS);
    if let Some(divergence) = diverges(&history) {
        let (history, divergence) = shortened(history, divergence);
        let steps: Vec<String> = history
            .steps
            .iter()
            .map(|step| format!("{step:?}"))
            .collect();
        panic!(
            "seed {seed}, history {n}: {:?}\n\n{}\n\n{}",
            history.settings,
            steps.join("\n"),
            divergence.what
        );
    }
}

fn diverges(history: &History) -> Option<Divergence> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(run(history)).err()
}

/// Without the steps that it does not take.
fn shortened(mut history: History, mut divergence: Divergence) -> (History, Divergence) {
    history.steps.truncate(divergence.step + 1);
    for at in (0..divergence.step).rev() {
        let mut shorter = history.clone();
        shorter.steps.remove(at);
        if let Some(found) = diverges(&shorter) {
            shorter.steps.truncate(found.step + 1);
            (history, divergence) = (shorter, found);
        }
    }
    (history, divergence)
}
