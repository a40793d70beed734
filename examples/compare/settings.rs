//! How long, how often, and where: `name=value` arguments.

use std::{env, fs, path::PathBuf, process::Command, thread, time::Duration};

use crate::kit::Failure;

const USAGE: &str = "compare [rounds=15] [seconds=0.5] [churn=60] [only=WORD] [docs=docs]";

/// What is to be done, and with which cores.
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    /// How long one server is driven in one round.
    pub(crate) time: Duration,
    pub(crate) churn: Duration,
    /// Only the parts whose name has this in it. Then nothing is written.
    pub(crate) only: Option<String>,
    pub(crate) docs: PathBuf,
    pub(crate) cores: usize,
    /// Where the programs are.
    pub(crate) release: PathBuf,
    /// Where files go that are gone afterwards; in memory, where there is such a place.
    pub(crate) scratch: PathBuf,
}

impl Settings {
    pub(crate) fn read() -> Result<Settings, Failure> {
        let examples = env::current_exe()?;
        let release = examples.ancestors().nth(2).ok_or("no folder of programs")?;
        let shm = PathBuf::from("/dev/shm");
        let place = if shm.is_dir() { shm } else { env::temp_dir() };
        let mut settings = Settings {
            rounds: 15,
            time: Duration::from_millis(500),
            churn: Duration::from_secs(60),
            only: None,
            docs: "docs".into(),
            cores: thread::available_parallelism()?.get(),
            release: release.to_owned(),
            scratch: place.join(format!("larder-compare-{}", std::process::id())),
        };
        for arg in env::args().skip(1) {
            let seconds = |text: &str| text.parse().map(Duration::from_secs_f64);
            match arg.split_once('=') {
                Some(("rounds", count)) => settings.rounds = count.parse::<usize>()?.max(1),
                Some(("seconds", time)) => settings.time = seconds(time)?,
                Some(("churn", time)) => settings.churn = seconds(time)?,
                Some(("only", "")) => {}
                Some(("only", word)) => settings.only = Some(word.to_owned()),
                Some(("docs", folder)) => settings.docs = folder.into(),
                _ => return Err(USAGE.into()),
            }
        }
        if settings.cores < 2 {
            return Err("a core for the servers and one for the load are needed".into());
        }
        fs::create_dir_all(&settings.scratch)?;
        fs::create_dir_all(&settings.docs)?;
        pin(LOAD)?;
        Ok(settings)
    }
}

impl Drop for Settings {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.scratch);
    }
}

/// The core that a server has to itself.
pub(crate) const SERVER: &str = "0";
/// The load's, and the origin's.
pub(crate) const LOAD: &str = "1";

/// Keeps this thread, and those that it starts from now on, on these cores.
pub(crate) fn pin(cores: &str) -> Result<(), Failure> {
    let pid = std::process::id().to_string();
    let said = Command::new("taskset").args(["-cp", cores, &pid]).output();
    let said = said.map_err(|_| "taskset is missing: apt-get install util-linux")?;
    match said.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&said.stderr).into()),
    }
}
