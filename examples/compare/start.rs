//! Starting, and doing nothing.

use std::{
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Builder;

use crate::{
    kit::{Failure, http1::Connection},
    report::{Goal, Report, median},
    servers::Starter,
    settings::SERVER,
};

const STARTS: usize = 15;
const MIB: f64 = 1024.0 * 1024.0;

/// From the start to the first answer, and the memory after it.
pub(crate) fn start(starter: &Starter<'_>, report: &mut Report) -> Result<(), Failure> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let (mut times, mut idle) = (Vec::new(), Vec::new());
    for n in 0..STARTS {
        let since = Instant::now();
        let larder = starter.larder(SERVER, &[])?;
        runtime.block_on(async {
            let mut connection = Connection::open(larder.address).await?;
            connection.get(|out| out.extend(b"/healthz")).await
        })?;
        times.push(since.elapsed().as_secs_f64() * 1e3);
        if n < 3 {
            thread::sleep(Duration::from_millis(500));
            idle.push(larder.memory("VmRSS")? as f64 / MIB);
        }
    }
    let worst = times.iter().fold(0.0_f64, |worst, time| worst.max(*time));
    let goal = Goal::of("start to first answer; idle RSS")
        .at_most(50.0, " ms", "to the first answer", median(times))
        .at_most(15.0, " MiB", "idle", median(idle))
        .note(format!("{STARTS} starts, the slowest {worst:.0} ms"));
    report.goals.push(goal);
    Ok(())
}
