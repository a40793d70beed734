//! A real Redis of the test's own, on a free port: alone, or several of them.

mod cluster;
mod relay;
mod reply;
mod sentinel;
mod tls;

use std::{
    io::{self, BufRead, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

pub(crate) use self::{
    cluster::Cluster,
    relay::Relay,
    reply::Reply,
    sentinel::Watched,
    tls::{Authority, Secure},
};

/// A running redis-server. It ends with this value.
pub(crate) struct Redis {
    port: u16,
    password: Option<&'static str>,
    settings: Vec<String>,
    dir: TempDir,
    server: Option<Child>,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Redis::with(&[])
    }

    /// With these arguments of redis-server.
    pub(crate) fn with(settings: &[&str]) -> Self {
        Redis::launch(None, settings, tempfile::tempdir().expect("a directory"))
    }

    pub(crate) fn with_password(password: &'static str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Redis::launch(Some(password), &["--requirepass", password], dir)
    }

    fn launch(password: Option<&'static str>, settings: &[&str], dir: TempDir) -> Self {
        let mut redis = Redis {
            port: 0,
            password,
            settings: settings.iter().map(ToString::to_string).collect(),
            dir,
            server: None,
        };
        // Somebody else may take the port before the server does: then another one.
        for _ in 0..10 {
            redis.port = free_port();
            if redis.spawn() {
                return redis;
            }
        }
        panic!("redis-server does not start");
    }

    /// Makes it a copy of another, and waits until it is one.
    pub(crate) fn follow(&self, port: u16) {
        self.command(&["REPLICAOF", "127.0.0.1", &port.to_string()]);
        until(|| self.info("replication").contains("master_link_status:up"));
    }

    /// A part of what it tells of itself.
    pub(crate) fn info(&self, section: &str) -> String {
        match self.command(&["INFO", section]).remove(0) {
            Reply::Text(info) => String::from_utf8(info).expect("text"),
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn set(&self, setting: &str, value: &str) {
        let done = self.command(&["CONFIG", "SET", setting, value]);
        assert_eq!(done, [Reply::Text(b"OK".to_vec())]);
    }

    /// `redis://` and so on.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// A new, empty server on the same port.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let started = (0..10).any(|_| self.spawn());
        assert!(started, "redis-server does not start on port {}", self.port);
    }

    /// It hangs from here on: connections stay, and nothing is answered.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// It goes on.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let server = self.server.as_ref().expect("it is running");
        let sent = Command::new("kill")
            .args([signal, &server.id().to_string()])
            .status();
        assert!(sent.expect("kill").success());
    }

    /// Sends a command on a connection of its own. An array's items come one after another.
    pub(crate) fn command<A: AsRef<[u8]>>(&self, args: &[A]) -> Vec<Reply> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("redis-server");
        let mut stream = BufReader::new(stream);
        if let Some(password) = self.password {
            reply::request(&mut stream, &["AUTH", password]);
        }
        reply::request(&mut stream, args)
    }

    /// Whether it started: `false` when it ended at once, as it does when the port is taken.
    fn spawn(&mut self) -> bool {
        let config = self.dir.path().join("redis.conf");
        let port = self.port.to_string();
        let program = std::env::var("REDIS_SERVER");
        let program = program.as_deref().unwrap_or("redis-server");
        let mut command = Command::new(program);
        if config.exists() {
            // A sentinel writes into its own.
            command.arg(&config);
        }
        command
            .args(["--bind", "127.0.0.1", "--port", &port])
            .args(&self.settings)
            .arg("--dir")
            .arg(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if !self.settings.iter().any(|one| one == "--sentinel") {
            command.args(["--save", "", "--appendonly", "no"]);
        }
        let mut server = match command.spawn() {
            Ok(server) => server,
            Err(error) if error.kind() == io::ErrorKind::NotFound => panic!(
                "these tests need {program}: install it, with `apt-get install redis-server` for one"
            ),
            Err(error) => panic!("redis-server: {error}"),
        };
        let mut log = BufReader::new(server.stdout.take().expect("it is piped"));
        let mut line = String::new();
        while log.read_line(&mut line).is_ok_and(|read| read > 0) {
            if line.contains("Ready to accept connections") || line.contains("Sentinel ID is") {
                // What it says further on is of no interest, but must go somewhere.
                thread::spawn(move || io::copy(&mut log, &mut io::sink()));
                self.server = Some(server);
                return true;
            }
            line.clear();
        }
        let _ = server.wait();
        false
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for something that happens in another process.
pub(crate) fn until(mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !happened() {
        assert!(Instant::now() < deadline, "it takes too long");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A port that nobody listens on. It is below those that the system gives to sockets that ask for
/// any, so that none of them takes it while the server is down.
fn free_port() -> u16 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        // Other processes begin elsewhere.
        let step = std::process::id().wrapping_mul(101).wrapping_add(count) % 12_000;
        let port = 10_000 + u16::try_from(step).expect("it is small");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
