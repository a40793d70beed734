//! Origins that follow a script.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use larder::upstream::Upstream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What an origin does about one request.
pub(super) enum Step {
    /// Reads its head and answers with these bytes.
    Answer(&'static str),
    /// Reads its head, sends these bytes, and never another.
    Hang(&'static str),
    /// Reads its head, and closes the connection.
    Close,
}
/// An origin that plays one list of steps for each connection, and then closes it.
pub(super) struct Origin {
    pub(super) address: SocketAddr,
    /// The requests, a list for each connection.
    seen: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Origin {
    pub(super) async fn playing(connections: Vec<Vec<Step>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&seen);
        tokio::spawn(async move {
            for steps in connections {
                let (stream, _) = listener.accept().await.unwrap();
                let number = {
                    let mut record = record.lock().unwrap();
                    record.push(Vec::new());
                    record.len() - 1
                };
                tokio::spawn(play(stream, steps, Arc::clone(&record), number));
            }
        });
        Origin { address, seen }
    }

    pub(super) fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn upstream(&self) -> Upstream {
        Upstream::builder()
            .timeout(Duration::from_secs(30))
            .trust("127.0.0.1", self.address.port())
            .build()
    }

    pub(super) fn requests(&self) -> Vec<Vec<String>> {
        self.seen.lock().unwrap().clone()
    }
}

async fn play(
    mut stream: TcpStream,
    steps: Vec<Step>,
    seen: Arc<Mutex<Vec<Vec<String>>>>,
    number: usize,
) {
    for step in steps {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => return,
            }
        }
        let request = String::from_utf8(request).unwrap();
        seen.lock().unwrap()[number].push(request);
        match step {
            Step::Answer(bytes) => stream.write_all(bytes.as_bytes()).await.unwrap(),
            Step::Hang(bytes) => {
                stream.write_all(bytes.as_bytes()).await.unwrap();
                std::future::pending::<()>().await;
            }
            Step::Close => return,
        }
    }
}
