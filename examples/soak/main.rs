//! Attacks a larder with what uses up memory and time, and prints what that did to it: its peak
//! RSS, and how long other clients waited meanwhile. `make soak` runs it; `SCALE` makes it smaller,
//! and `ONLY` picks the cases whose names contain it.

mod attack;
mod origin;
mod served;

use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::time::timeout;

use self::{
    attack::{CASES, Case},
    served::Served,
};

type Failure = Box<dyn Error + Send + Sync>;

/// How long others may wait.
const PATIENCE: Duration = Duration::from_millis(100);

/// What the tool, its origin and larder may open besides the connections of a case.
const OTHER_FILES: usize = 200;

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let larder = args.next().ok_or("soak PATH-OF-LARDER [SCALE [ONLY]]")?;
    let scale: f64 = args.next().map_or(Ok(1.0), |scale| scale.parse())?;
    let only = args.next().unwrap_or_default();
    let files = open_files()?.saturating_sub(OTHER_FILES).max(1);
    let attackers = tokio::runtime::Runtime::new()?;
    let origin = attackers.block_on(origin::start())?;
    println!(
        "{:<40} {:>9} {:>9} {:>9} {:>9} {:>9} {:>6}",
        "case", "done", "peak RSS", "p99", "longest", "answers", "took"
    );
    let mut broken = Vec::new();
    for case in CASES {
        let count = ((case.count() as f64 * scale) as usize).max(1);
        let count = count.min(case.most(files));
        if !case.name(count).contains(&only) {
            continue;
        }
        let served = Served::start(&larder, origin)?;
        let others = Others::of(served.address)?;
        let since = Instant::now();
        let (done, attacked) = attackers.block_on(case.run(served.address, count));
        let took = since.elapsed();
        let waited = others.waited()?;
        let p99 = waited[waited.len() * 99 / 100];
        let rss = served.peak_rss()? >> 20;
        println!(
            "{:<40} {:>9} {:>5} MiB {:>6.1} ms {:>6.1} ms {:>9} {:>4} s",
            case.name(count),
            done,
            rss,
            milliseconds(p99),
            milliseconds(waited[waited.len() - 1]),
            waited.len(),
            took.as_secs(),
        );
        let mut is_broken = |how: String| broken.push(format!("{}: {how}", case.name(count)));
        if p99 > PATIENCE {
            is_broken("others waited too long".to_owned());
        }
        if rss > case.most_memory() {
            is_broken(format!("it took more than {} MiB", case.most_memory()));
        }
        if let Err(error) = attacked {
            is_broken(error.to_string());
        }
    }
    match broken.is_empty() {
        true => Ok(()),
        false => Err(broken.join("; ").into()),
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// How many files each process may open: larder has the same limit.
fn open_files() -> Result<usize, Failure> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    Ok(soft
        .ok_or("no limit is told")?
        .parse()
        .unwrap_or(usize::MAX))
}

/// Those who want nothing but an answer. They have a thread of their own, so that what is
/// measured is not how busy the attackers are.
struct Others {
    enough: Arc<AtomicBool>,
    asking: thread::JoinHandle<Result<Vec<Duration>, Failure>>,
}

impl Others {
    fn of(larder: SocketAddr) -> Result<Self, Failure> {
        served::get(larder, "/warm")?;
        let enough = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&enough);
        let asking = thread::spawn(move || {
            let mut waited = Vec::new();
            while waited.is_empty() || !told.load(Ordering::Relaxed) {
                let since = Instant::now();
                served::get(larder, "/warm")?;
                waited.push(since.elapsed());
                thread::sleep(Duration::from_millis(5));
            }
            Ok(waited)
        });
        Ok(Others { enough, asking })
    }

    /// How long each waited, the longest last.
    fn waited(self) -> Result<Vec<Duration>, Failure> {
        self.enough.store(true, Ordering::Relaxed);
        let mut waited = self.asking.join().map_err(|_| "the others are gone")??;
        waited.sort_unstable();
        Ok(waited)
    }
}

impl Case {
    /// Attacks until all is done, or for as long as it may take. How much was done is the result,
    /// and what went wrong.
    async fn run(self, to: SocketAddr, count: usize) -> (usize, Result<(), Failure>) {
        let done = attack::Done::default();
        let attack = attack::attack(self, to, count, done.clone());
        let attacked = timeout(self.time(), attack).await;
        let attacked = attacked.unwrap_or_else(|_| Err("it is not over in time".into()));
        (done.so_far(), attacked)
    }
}
