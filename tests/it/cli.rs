//! The program, run as one: what it prints, and the status that it ends with.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStderr, Command, Output, Stdio},
};

use serde_json::Value;

/// The program, without what the test's own environment may set.
pub(crate) fn larder(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(args).env_clear().stdin(Stdio::null());
    command
}

pub(crate) fn output(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

/// A running larder, ended with the test.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) log: BufReader<ChildStderr>,
    pub(crate) address: String,
    /// What its log said until it listened.
    pub(crate) said: Vec<Value>,
}

impl Running {
    /// Starts it on a free port, which its log tells.
    pub(crate) fn start(args: &[&str]) -> Running {
        let mut command = larder(args);
        command.args(["--port", "0"]);
        Running::of(command)
    }

    /// Starts it by this command.
    pub(crate) fn of(mut command: Command) -> Running {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut said = Vec::new();
        let address = loop {
            let event = next_event(&mut log).expect("it ended before it listened");
            said.push(event["fields"].clone());
            if let Some(address) = event["fields"]["address"].as_str() {
                break address.to_owned();
            }
        };
        Running {
            child,
            log,
            address,
            said,
        }
    }

    /// The whole answer to one request.
    pub(crate) fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Asks it to end, as an operator does.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The next line of the log. Standard error is no terminal here, so it is JSON.
pub(crate) fn next_event(log: &mut impl BufRead) -> Option<Value> {
    let mut line = String::new();
    match log.read_line(&mut line).unwrap() {
        0 => None,
        _ => Some(serde_json::from_str(&line).unwrap()),
    }
}

#[test]
fn help_and_version() {
    for flag in ["-h", "--help"] {
        let (status, out, _) = output(&mut larder(&[flag]));
        assert_eq!(status, 0);
        for word in ["--origin", "UPSTREAM_BASE_URL", "256MiB", "--clear-cache"] {
            assert!(out.contains(word), "{word}");
        }
    }
    for flag in ["-V", "--version"] {
        let (status, out, _) = output(&mut larder(&[flag]));
        assert_eq!(
            (status, out.trim()),
            (0, concat!("larder ", env!("CARGO_PKG_VERSION")))
        );
    }
}

#[test]
fn misuse_is_said_and_ends_with_2() {
    for (args, words) in [
        (&["--ttl", "-3"][..], ["--ttl", "-3", "seconds"]),
        (
            &["--backend=disk"],
            ["--backend", "disk", "memory or redis"],
        ),
        (&["--origin", "ftp://x"], ["--origin", "ftp://x", "https"]),
        (&["--memory", "12parsecs"], ["--memory", "12parsecs", "MiB"]),
        (&["--log", "larder=loud"], ["--log", "loud", "debug"]),
        (&["--colour"], ["--colour", "larder", "--help"]),
    ] {
        let (status, _, err) = output(&mut larder(args));
        assert_eq!(status, 2, "{err}");
        for word in words {
            assert!(err.contains(word), "{err:?} lacks {word:?}");
        }
    }
    let (status, _, err) = output(larder(&[]).env("CACHE_TTL", "soon"));
    assert_eq!(status, 2);
    assert!(err.contains("CACHE_TTL") && err.contains("soon"), "{err}");
}

#[test]
fn a_port_that_is_taken_is_said_and_ends_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (status, _, err) = output(&mut larder(&["--port", &port]));
    assert_eq!(status, 1);
    assert!(err.contains(&port) && err.contains("in use"), "{err}");
}

#[test]
fn it_says_what_it_starts_with_and_serves() {
    let larder = Running::start(&[]);
    assert!(larder.ask("GET /healthz").starts_with("HTTP/1.1 200"));
    assert!(larder.ask("GET /products").starts_with("HTTP/1.1 404"));
    assert!(larder.ask("GET /proxy?url=products").contains("no_origin"));
}

#[test]
fn it_listens_on_version_6_too() {
    if TcpListener::bind("[::1]:0").is_err() {
        return; // This machine has none.
    }
    let larder = Running::start(&["--host", "::1"]);
    assert!(larder.ask("GET /healthz").starts_with("HTTP/1.1 200"));
}

#[test]
fn clearing_from_the_command_line() {
    let running = Running::start(&["--prefix", "/_larder"]);
    let port = running.address.rsplit(':').next().unwrap();
    let clear = ["--clear-cache", "--port", port];
    let (status, out, err) = output(larder(&clear).env("PREFIX", "/_larder"));
    assert_eq!(
        (status, out.trim()),
        (0, "Cache cleared successfully"),
        "{err}"
    );
    let (status, _, err) = output(&mut larder(&clear));
    assert_eq!(status, 1);
    assert!(err.contains("refused"), "{err}");
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (status, _, err) = output(&mut larder(&[
        "--clear-cache",
        "--port",
        &free.port().to_string(),
    ]));
    assert_eq!(status, 1);
    assert!(err.contains(&free.to_string()), "{err}");
}

#[test]
fn signals_end_it_in_order() {
    for name in ["-TERM", "-INT"] {
        let mut larder = Running::start(&[]);
        larder.signal(name);
        assert_eq!(larder.child.wait().unwrap().code(), Some(0));
        let mut said = Vec::new();
        while let Some(event) = next_event(&mut larder.log) {
            said.push(
                event["fields"]["message"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            );
        }
        assert_eq!(said.last().map(String::as_str), Some("stopped"), "{said:?}");
    }
}
