//! larder, run as a program.

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr},
};

use super::proxy::{Answer, ask, request, soon};

/// A running larder whose log is read.
pub(crate) struct Logged {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    /// All that was logged so far, as it came.
    pub(crate) text: String,
    /// The events that nobody has asked for yet: their order is not promised.
    unread: Vec<Value>,
    pub(crate) address: SocketAddr,
}

impl Logged {
    pub(crate) async fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
        command
            .args(args)
            .args(["--port=0", "--log-format=json"])
            .env_clear()
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        let mut command = tokio::process::Command::from(command);
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut logged = Logged {
            child,
            lines,
            text: String::new(),
            unread: Vec::new(),
            address: ([0, 0, 0, 0], 0).into(),
        };
        let listening = logged.event("listening on").await;
        logged.address = listening["address"].as_str().unwrap().parse().unwrap();
        logged
    }

    /// The next event whose message begins so: its fields, level and target.
    pub(crate) async fn event(&mut self, message: &str) -> Value {
        let is_it = |event: &Value| {
            let said = event["fields"]["message"].as_str();
            said.is_some_and(|said| said.starts_with(message))
        };
        let found = match self.unread.iter().position(is_it) {
            Some(at) => self.unread.remove(at),
            None => loop {
                let line = soon(self.lines.next_line()).await.unwrap();
                let line = line.unwrap_or_else(|| panic!("no {message:?} in {}", self.text));
                self.text += &line;
                self.text.push('\n');
                let event = serde_json::from_str(&line).unwrap();
                if is_it(&event) {
                    break event;
                }
                self.unread.push(event);
            },
        };
        let mut fields = found["fields"].clone();
        fields["level"] = found["level"].clone();
        fields["logger"] = found["target"].clone();
        fields
    }

    /// Ends it at once, as a crash would.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends it a SIGHUP.
    pub(crate) fn hang_up(&self) {
        let id = self.child.id().unwrap().to_string();
        let sent = Command::new("kill").args(["-HUP", &id]).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        ask(self.address, request("GET", target, &[], "")).await
    }

    /// The bytes of memory that it takes.
    pub(crate) fn memory(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id().unwrap());
        let status = std::fs::read_to_string(status).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    }
}
