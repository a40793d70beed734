//! Many connections at once, for a time, and what came of it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{runtime::Builder, task::JoinSet, time::timeout};

use super::{Failure, http1, http2, latency::Latencies};

/// How long a server may take to answer the last requests.
const PATIENCE: Duration = Duration::from_secs(15);

/// Writes the path of the next request.
pub(crate) type Path = Arc<dyn Fn(&mut Vec<u8>) + Send + Sync>;

/// What is to be done to a server.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) to: SocketAddr,
    pub(crate) connections: usize,
    /// Requests at a time on an HTTP/2 connection; HTTP/1.1 where there is none.
    pub(crate) streams: Option<usize>,
    pub(crate) path: Path,
    /// Threads of the load.
    pub(crate) threads: usize,
    pub(crate) warm_up: Duration,
    pub(crate) time: Duration,
}

/// What came of it, without the time to warm up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
    /// What the server's processes used of a core's time.
    pub(crate) cpu: Duration,
    pub(crate) latencies: Latencies,
    /// All requests that were answered, warming up and the last ones included.
    pub(crate) in_all: u64,
}

#[derive(Default)]
struct Tally {
    requests: u64,
    bytes: u64,
    latencies: Latencies,
}

/// The same path, always.
pub(crate) fn same(path: &str) -> Path {
    let path = path.to_owned();
    Arc::new(move |out| out.extend_from_slice(path.as_bytes()))
}

/// Paths that were never asked for, below this one.
pub(crate) fn distinct(below: &str) -> Path {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let below = below.to_owned();
    Arc::new(move |out| {
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        out.extend_from_slice(format!("{below}{n}").as_bytes());
    })
}

impl Load {
    /// Does it. `cpu` tells what the server has used so far.
    pub(crate) fn run(
        &self,
        cpu: impl Fn() -> Result<Duration, Failure>,
    ) -> Result<Measured, Failure> {
        let stop = Arc::new(AtomicBool::new(false));
        let tallies: Vec<Arc<Mutex<Tally>>> = (0..self.threads).map(|_| Arc::default()).collect();
        thread::scope(|scope| {
            let mut threads = Vec::new();
            for (n, tally) in tallies.iter().enumerate() {
                let connections = (self.connections + n) / self.threads;
                let (stop, tally) = (Arc::clone(&stop), Arc::clone(tally));
                threads.push(scope.spawn(move || self.drive(connections, stop, tally)));
            }
            thread::sleep(self.warm_up);
            let (since, used) = (Instant::now(), cpu());
            let warm = take(&tallies);
            thread::sleep(self.time);
            let (time, used_then) = (since.elapsed(), cpu());
            let counted = take(&tallies);
            stop.store(true, Ordering::Relaxed);
            for thread in threads {
                thread.join().map_err(|_| "the load panicked")??;
            }
            let last = take(&tallies);
            Ok(Measured {
                requests: counted.requests,
                bytes: counted.bytes,
                time,
                cpu: used_then?.saturating_sub(used?),
                latencies: counted.latencies,
                in_all: warm.requests + counted.requests + last.requests,
            })
        })
    }

    /// So many connections in one thread, until it is to stop.
    fn drive(
        &self,
        connections: usize,
        stop: Arc<AtomicBool>,
        tally: Arc<Mutex<Tally>>,
    ) -> Result<(), Failure> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut all = JoinSet::new();
            for _ in 0..connections {
                let connection = connection(
                    self.to,
                    self.streams,
                    Arc::clone(&self.path),
                    Arc::clone(&stop),
                    Arc::clone(&tally),
                );
                all.spawn(connection);
            }
            let finished = async {
                while let Some(ended) = all.join_next().await {
                    ended??;
                }
                Ok(())
            };
            let most = self.warm_up + self.time + PATIENCE;
            timeout(most, finished)
                .await
                .map_err(|_| "the server hangs")?
        })
    }
}

async fn connection(
    to: SocketAddr,
    streams: Option<usize>,
    path: Path,
    stop: Arc<AtomicBool>,
    tally: Arc<Mutex<Tally>>,
) -> Result<(), Failure> {
    let done = |took: Duration, bytes: u64| {
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.requests += 1;
        tally.bytes += bytes;
        tally.latencies.add(took);
    };
    if let Some(streams) = streams {
        let write = |out: &mut Vec<u8>| {
            if !stop.load(Ordering::Relaxed) {
                path(out);
            }
        };
        let mut connection = http2::Connection::open(to).await?;
        return connection.run(streams, write, done).await;
    }
    let mut connection = http1::Connection::open(to).await?;
    loop {
        let since = Instant::now();
        let bytes = connection.get(|out| path(out)).await?;
        done(since.elapsed(), bytes);
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
    }
}

/// What was counted since the last time.
fn take(tallies: &[Arc<Mutex<Tally>>]) -> Tally {
    let mut sum = Tally::default();
    for tally in tallies {
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = std::mem::take(&mut *tally);
        sum.requests += tally.requests;
        sum.bytes += tally.bytes;
        sum.latencies.merge(&tally.latencies);
    }
    sum
}

// === impl Measured ===

impl Measured {
    /// Microseconds of a core's time for each request.
    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests.max(1) as f64
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.requests as f64 / self.time.as_secs_f64()
    }

    pub(crate) fn megabytes_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.time.as_secs_f64()
    }
}
