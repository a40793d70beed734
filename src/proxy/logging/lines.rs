//! Lines that are written by a thread of their own, many at a time.
//!
//! Who logs adds a line to what waits, and goes on. What waits is bounded: where it cannot be
//! written as fast as it comes, who logs waits, and nothing is lost.

use std::{
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use tracing_subscriber::fmt::MakeWriter;

/// For so long lines are collected, once there is one.
const PAUSE: Duration = Duration::from_millis(10);

/// As many bytes may wait.
const ROOM: usize = 4 << 20;

/// Where lines are put to be written. Clones put them into one place.
#[derive(Clone, Debug)]
pub(super) struct Lines(Arc<Queue>);

/// The thread that writes. When this is dropped, all that waits is written first.
#[derive(Debug)]
pub(super) struct Writing {
    lines: Lines,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// There are lines, or there will be no more.
    came: Condvar,
    /// There is room again.
    went: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    ending: bool,
}

/// Lines that go to `out`, for as long as the [`Writing`] is kept.
pub(super) fn open(out: impl Write + Send + 'static) -> (Lines, Writing) {
    let lines = Lines(Arc::default());
    let writer = lines.clone();
    let thread = thread::spawn(move || writer.run(out));
    let writing = Writing {
        lines: lines.clone(),
        thread: Some(thread),
    };
    (lines, writing)
}

impl Lines {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, line: &[u8]) {
        let full = |waiting: &mut Waiting| waiting.bytes.len() > ROOM && !waiting.ending;
        let waiting = self.0.went.wait_while(self.waiting(), full);
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        let first = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        if first {
            self.0.came.notify_one();
        }
    }

    fn run(&self, mut out: impl Write) {
        let mut taken = Vec::new();
        loop {
            let none = |waiting: &mut Waiting| waiting.bytes.is_empty() && !waiting.ending;
            let waiting = self.0.came.wait_while(self.waiting(), none);
            let waiting = waiting.unwrap_or_else(PoisonError::into_inner);
            let pausing = |waiting: &mut Waiting| !waiting.ending && waiting.bytes.len() <= ROOM;
            let waiting = self.0.came.wait_timeout_while(waiting, PAUSE, pausing);
            let (mut waiting, _) = waiting.unwrap_or_else(PoisonError::into_inner);
            mem::swap(&mut taken, &mut waiting.bytes);
            let ending = waiting.ending;
            drop(waiting);
            self.0.went.notify_all();
            // Nobody can be told of an error where errors are told.
            let _ = out.write_all(&taken).and_then(|()| out.flush());
            taken.clear();
            if ending {
                return;
            }
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.lines.waiting().ending = true;
        self.lines.0.came.notify_one();
        self.lines.0.went.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Write for &Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Lines;

    fn make_writer(&'a self) -> &'a Lines {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Hands on what is written, and waits until it is taken.
    struct Slow(mpsc::SyncSender<Vec<u8>>);

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn all_lines_are_written_in_order_and_many_at_a_time() {
        let (to, from) = mpsc::sync_channel(0);
        let (lines, writing) = open(Slow(to));
        let reader = thread::spawn(move || from.iter().collect::<Vec<_>>());
        let mut expected = String::new();
        for n in 0..1000 {
            let line = format!("{n}\n");
            expected.push_str(&line);
            (&lines).write_all(line.as_bytes()).unwrap();
        }
        drop(writing);
        let written = reader.join().unwrap();
        assert!(written.len() < 500, "{}", written.len());
        assert_eq!(written.concat(), expected.as_bytes());
    }

    #[test]
    fn who_logs_more_than_there_is_room_for_waits_and_loses_nothing() {
        let (to, from) = mpsc::sync_channel(0);
        let (lines, writing) = open(Slow(to));
        let line = vec![b'x'; ROOM / 2];
        let logs = thread::spawn(move || {
            for _ in 0..10 {
                lines.put(&line);
                assert!(lines.waiting().bytes.len() <= 2 * ROOM);
            }
            drop(writing);
        });
        let written: usize = from.iter().map(|bytes| bytes.len()).sum();
        logs.join().unwrap();
        assert_eq!(written, 10 * (ROOM / 2));
    }
}
