//! A redis-server of the bench's own, on a free port, and what it tells of the commands it ran.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// It ends with this value.
pub(crate) struct RedisServer {
    child: Child,
    port: u16,
}

impl RedisServer {
    /// `None` when there is no redis-server on this machine.
    pub(crate) fn start() -> io::Result<Option<RedisServer>> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
        command.args(["--save", "", "--appendonly", "no"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let server = RedisServer { child, port };
        let since = Instant::now();
        while let Err(error) = TcpStream::connect(("127.0.0.1", port)) {
            if since.elapsed() > Duration::from_secs(10) {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(server))
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// How often it ran each command so far (`INFO commandstats`).
    pub(crate) fn ran(&self) -> io::Result<BTreeMap<String, u64>> {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", self.port))?);
        stream.get_mut().write_all(b"INFO commandstats\r\n")?;
        let mut length = String::new();
        stream.read_line(&mut length)?;
        let length = length.trim_start_matches('$').trim().parse();
        let mut info = vec![0; length.map_err(io::Error::other)?];
        stream.read_exact(&mut info)?;
        let info = String::from_utf8(info).map_err(io::Error::other)?;
        let calls = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            let calls = rest.split(',').next()?.parse().ok()?;
            Some((name.to_owned(), calls))
        };
        Ok(info.lines().filter_map(calls).collect())
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
