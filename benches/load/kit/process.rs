//! A server as a process of its own: on which cores it runs, and what it uses, by `/proc`.

use std::{
    collections::HashMap,
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::Failure;

/// What the kernel counts CPU time in for `/proc` (`USER_HZ`): the same on all but a few Linuxes.
const TICKS: u32 = 100;

/// A server, and all processes that it has started. It ends with this value.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// A line of `/proc/PID/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    parent: u32,
    cpu: Duration,
}

/// An address that is free.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// `command` on these cores only (`0`, `0,1`), or wherever.
pub(crate) fn on_cores(cores: Option<&str>, program: &str) -> Command {
    match cores {
        None => Command::new(program),
        Some(cores) => {
            let mut command = Command::new("taskset");
            command.args(["-c", cores, program]);
            command
        }
    }
}

impl Process {
    /// Starts what will listen on `address`, and waits until it does.
    pub(crate) fn start(mut command: Command, address: SocketAddr) -> Result<Process, Failure> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let child = child.map_err(|error| format!("{command:?}: {error}"))?;
        let mut process = Process { child, address };
        let since = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = process.child.try_wait()? {
                return Err(format!("{command:?} ended: {status}").into());
            }
            if since.elapsed() > Duration::from_secs(20) {
                return Err(format!("{command:?} does not listen").into());
            }
            thread::sleep(Duration::from_micros(200));
        }
        Ok(process)
    }

    /// What tells the CPU time that it has used so far. Its processes are looked for only once:
    /// that takes longer than reading of them.
    pub(crate) fn meter(&self) -> Result<impl Fn() -> Result<Duration, Failure> + use<>, Failure> {
        let family = self.family()?;
        Ok(move || {
            let cpu = |pid: &u32| {
                let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
                Ok(Stat::parse(&text).ok_or("an odd /proc/PID/stat")?.cpu)
            };
            family.iter().map(cpu).sum()
        })
    }

    /// A figure of `/proc/PID/status`, in bytes: `VmRSS` is its memory, `VmHWM` the most it was.
    pub(crate) fn memory(&self, name: &str) -> Result<u64, Failure> {
        let mut sum = 0;
        for pid in self.family()? {
            sum += kilobytes(&fs::read_to_string(format!("/proc/{pid}/status"))?, name) << 10;
        }
        Ok(sum)
    }

    /// It and its descendants.
    fn family(&self) -> Result<Vec<u32>, Failure> {
        let mut parents = HashMap::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let pid = entry.file_name().to_str().and_then(|it| it.parse().ok());
            let text = fs::read_to_string(entry.path().join("stat"));
            if let (Some(pid), Ok(text)) = (pid, text) {
                let stat = Stat::parse(&text).ok_or("an odd /proc/PID/stat")?;
                parents.insert(pid, stat.parent);
            }
        }
        let mut family = vec![self.child.id()];
        let mut known = 0;
        while known < family.len() {
            let children = parents.iter().filter(|it| *it.1 == family[known]);
            let children: Vec<u32> = children.map(|it| *it.0).collect();
            family.extend(children);
            known += 1;
        }
        Ok(family)
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn end(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let pid = self.child.id().to_string();
            let _ = Command::new("kill").arg(pid).status();
        }
        let since = Instant::now();
        while let Ok(None) = self.child.try_wait() {
            if since.elapsed() > Duration::from_secs(12) {
                let _ = self.child.kill();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

impl Stat {
    fn parse(line: &str) -> Option<Stat> {
        // The name before it may hold anything.
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let ticks = |n: usize| fields.get(n)?.parse::<u32>().ok();
        Some(Stat {
            parent: ticks(1)?,
            cpu: Duration::from_secs(1) * (ticks(11)? + ticks(12)?) / TICKS,
        })
    }
}

fn kilobytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|rest| rest.trim_start_matches(':').split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read() {
        let line = "7 (a) b (c) S 3 7 7 0 -1 4194560 170 0 0 0 150 25 0 0 20 0 1 0 55 9000 300";
        let told = Stat {
            parent: 3,
            cpu: Duration::from_millis(1750),
        };
        assert_eq!(Stat::parse(line), Some(told));
        assert_eq!(Stat::parse("7 (a) S 3"), None);
        let status = "Name:\ta\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
        assert_eq!(kilobytes(status, "VmRSS"), 1024);
        assert_eq!(kilobytes(status, "VmSwap"), 0);
    }
}
