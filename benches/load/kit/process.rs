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

/// A server, and all processes that it has started. It ends with this value.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
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

    /// What tells the CPU time that it has used so far, to the nanosecond, of all threads that there
    /// are. Its processes are looked for only once: that takes longer than reading of them.
    pub(crate) fn meter(&self) -> Result<impl Fn() -> Result<Duration, Failure> + use<>, Failure> {
        let family = self.family()?;
        Ok(move || {
            let mut sum = Duration::ZERO;
            for pid in &family {
                for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
                    let text = fs::read_to_string(thread?.path().join("schedstat"))?;
                    sum += ran(&text).ok_or("an odd /proc/PID/task/TID/schedstat")?;
                }
            }
            Ok(sum)
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
                parents.insert(pid, parent(&text).ok_or("an odd /proc/PID/stat")?);
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

/// Whose child a process is, by its `/proc/PID/stat`.
fn parent(stat: &str) -> Option<u32> {
    // The name before it may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

/// How long a thread was on a core, by its `schedstat`.
fn ran(schedstat: &str) -> Option<Duration> {
    let nanos = schedstat.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
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
        assert_eq!(parent(line), Some(3));
        assert_eq!(parent("7 (a) S"), None);
        let line = "1750000001 41588169 792\n";
        assert_eq!(ran(line), Some(Duration::from_nanos(1_750_000_001)));
        assert_eq!(ran("\n"), None);
        let status = "Name:\ta\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n";
        assert_eq!(kilobytes(status, "VmRSS"), 1024);
        assert_eq!(kilobytes(status, "VmSwap"), 0);
    }
}
