//! A real Redis of the test's own, on a free port.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use tempfile::TempDir;

/// A running redis-server. It ends with this value.
pub(crate) struct Redis {
    port: u16,
    password: Option<&'static str>,
    cluster: bool,
    dir: TempDir,
    server: Option<Child>,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self::launch(None, false)
    }

    pub(crate) fn with_password(password: &'static str) -> Self {
        Self::launch(Some(password), false)
    }

    /// A cluster of one.
    pub(crate) fn cluster() -> Self {
        let redis = Self::launch(None, true);
        redis.command(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
        // It is two seconds before it lets anybody in, and says so only when asked.
        while !matches!(&redis.command(&["CLUSTER", "INFO"])[..],
            [Reply::Text(info)] if info.starts_with(b"cluster_state:ok"))
        {
            thread::sleep(Duration::from_millis(20));
        }
        redis
    }

    fn launch(password: Option<&'static str>, cluster: bool) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut redis = Redis {
            port: 0,
            password,
            cluster,
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
            request(&mut stream, &["AUTH", password]);
        }
        request(&mut stream, args)
    }

    /// Whether it started: `false` when it ended at once, as it does when the port is taken.
    fn spawn(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(password) = self.password {
            command.args(["--requirepass", password]);
        }
        if self.cluster {
            command.args(["--cluster-enabled", "yes"]);
            command.args(["--cluster-announce-ip", "127.0.0.1"]);
            // Not to wait seconds for nodes that are not there.
            command.args(["--cluster-node-timeout", "100"]);
        }
        let mut server = match command.spawn() {
            Ok(server) => server,
            Err(error) if error.kind() == io::ErrorKind::NotFound => panic!(
                "these tests need redis-server: install it, with `apt-get install redis-server` for one"
            ),
            Err(error) => panic!("redis-server: {error}"),
        };
        let mut log = BufReader::new(server.stdout.take().expect("it is piped"));
        let mut line = String::new();
        while log.read_line(&mut line).is_ok_and(|read| read > 0) {
            if line.contains("Ready to accept connections") {
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

/// What Redis replied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A string, short or long.
    Text(Vec<u8>),
    /// An integer.
    Number(i64),
    /// No such thing.
    Nil,
    /// An error.
    Error(String),
}

fn request<A: AsRef<[u8]>>(stream: &mut BufReader<TcpStream>, args: &[A]) -> Vec<Reply> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    stream.get_mut().write_all(&bytes).expect("redis-server");
    let mut replies = Vec::new();
    read_reply(stream, &mut replies);
    replies
}

fn read_reply(stream: &mut BufReader<TcpStream>, replies: &mut Vec<Reply>) {
    let mut line = String::new();
    stream.read_line(&mut line).expect("redis-server");
    let (kind, rest) = line.trim_end().split_at(1);
    let number = || rest.parse::<i64>().expect("a number");
    match kind {
        "+" => replies.push(Reply::Text(rest.as_bytes().to_vec())),
        "-" => replies.push(Reply::Error(rest.to_owned())),
        ":" => replies.push(Reply::Number(number())),
        "$" if number() < 0 => replies.push(Reply::Nil),
        "$" => {
            let mut text = vec![0; number() as usize + 2];
            stream.read_exact(&mut text).expect("redis-server");
            text.truncate(text.len() - 2);
            replies.push(Reply::Text(text));
        }
        "*" => (0..number()).for_each(|_| read_reply(stream, replies)),
        other => panic!("unknown reply {other:?}"),
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
