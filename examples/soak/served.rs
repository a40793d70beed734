//! The larder that is attacked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use super::Failure;

/// A larder of its own for each case, ended with it.
pub(super) struct Served {
    child: Child,
    pub(super) address: SocketAddr,
}

impl Served {
    /// With the limits that it has by itself, but for one: where all places are taken the others
    /// wait for one, so there are more than the attackers take.
    pub(super) fn start(path: &str, origin: SocketAddr) -> Result<Self, Failure> {
        let mut child = Command::new(path)
            .args([
                "--port=0",
                "--log=info,larder::request=off",
                "--log-format=json",
                "--max-connections=11000",
            ])
            .arg(format!("--origin=http://{origin}"))
            .stderr(Stdio::piped())
            .spawn()?;
        let log = child.stderr.take().ok_or("it has no log")?;
        let mut lines = BufReader::new(log).lines();
        let listening = |line: String| {
            let (_, rest) = line.split_once("listening on http://")?;
            rest.split('"').next()?.parse().ok()
        };
        let address = lines.by_ref().map_while(Result::ok).find_map(listening);
        // What it says later must not make it wait.
        thread::spawn(move || lines.for_each(drop));
        let address = address.ok_or("it does not listen")?;
        Ok(Served { child, address })
    }

    pub(super) fn peak_rss(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        Ok(kilobytes.unwrap_or("0").parse::<u64>()? << 10)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One answer, on a connection of its own.
pub(super) fn get(to: SocketAddr, path: &str) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    match answer.starts_with(b"HTTP/1.1 200 ") {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&answer).into()),
    }
}
