//! What is done to larder.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::Failure;

/// How long connections are held once all are open.
const HELD: Duration = Duration::from_secs(8);

#[derive(Clone, Copy)]
pub(super) enum Case {
    Nothing,
    Idle,
    Letters,
    SlowWriters,
    SlowReaders,
    SlowReadersOfStored,
    Pipelined,
    Streams,
    Headers,
    ChunksUp,
    ChunksDown,
    Urls,
    Variants,
}

pub(super) const CASES: [Case; 13] = [
    Case::Nothing,
    Case::Idle,
    Case::Letters,
    Case::SlowWriters,
    Case::SlowReaders,
    Case::SlowReadersOfStored,
    Case::Pipelined,
    Case::Streams,
    Case::Headers,
    Case::ChunksUp,
    Case::ChunksDown,
    Case::Urls,
    Case::Variants,
];

impl Case {
    pub(super) fn name(self, count: usize) -> String {
        let what = match self {
            Case::Nothing => return "nothing".to_owned(),
            Case::Idle => "idle connections",
            Case::Letters => "connections that say one letter",
            Case::SlowWriters => "slow writers",
            Case::SlowReaders => "slow readers of 64 MiB",
            Case::SlowReadersOfStored => "slow readers of 4 MiB, stored",
            Case::Pipelined => "times 1500 pipelined and unread",
            Case::Streams => "times 100 streams of HTTP/2, unread",
            Case::Headers => "MB of headers",
            Case::ChunksUp => "times 130 MB of chunks up",
            Case::ChunksDown => "times 130 MB of chunks down",
            Case::Urls => "URLs",
            Case::Variants => "variants of one URL",
        };
        format!("{count} {what}")
    }

    pub(super) fn count(self) -> usize {
        match self {
            Case::Idle | Case::Variants => 10_000,
            Case::Letters | Case::SlowWriters | Case::SlowReaders | Case::SlowReadersOfStored => {
                1_000
            }
            Case::Nothing | Case::Headers | Case::Pipelined | Case::Streams => 100,
            Case::ChunksUp | Case::ChunksDown => 50,
            Case::Urls => 1_000_000,
        }
    }

    /// How many of them there may be with so many open files, of larder or of the tool, which is
    /// the origin too.
    pub(super) fn most(self, files: usize) -> usize {
        match self {
            Case::Idle | Case::Letters | Case::SlowWriters => files,
            Case::SlowReaders | Case::SlowReadersOfStored => files / 2,
            Case::Pipelined | Case::Streams => files / 2,
            Case::ChunksUp | Case::ChunksDown => files / 2,
            Case::Nothing | Case::Headers | Case::Urls | Case::Variants => usize::MAX,
        }
    }

    /// The MiB that larder may take meanwhile, at its default limits.
    pub(super) fn most_memory(self) -> u64 {
        match self {
            Case::Nothing => 32,
            Case::Letters | Case::SlowWriters | Case::Headers => 64,
            Case::Pipelined | Case::ChunksUp | Case::Variants => 96,
            Case::SlowReadersOfStored | Case::Streams => 128,
            Case::Idle => 160,
            Case::ChunksDown => 320,
            // 1.25 times its budget, and 32.
            Case::Urls => 352,
            Case::SlowReaders => 500,
        }
    }

    /// How long it may take.
    pub(super) fn time(self) -> Duration {
        Duration::from_secs(match self {
            Case::Urls => 240,
            _ => 30,
        })
    }
}

/// How much was done so far.
#[derive(Clone, Default)]
pub(super) struct Done(Arc<AtomicUsize>);

impl Done {
    pub(super) fn so_far(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub(super) async fn attack(
    case: Case,
    to: SocketAddr,
    count: usize,
    done: Done,
) -> Result<(), Failure> {
    const HOST: &str = "HTTP/1.1\r\nHost: h\r\n";
    let get = |path| format!("GET {path} {HOST}\r\n");
    match case {
        Case::Nothing => {
            sleep(HELD).await;
            Ok(())
        }
        Case::Idle => hold(to, count, String::new(), done).await,
        Case::Letters => hold(to, count, "P".to_owned(), done).await,
        Case::SlowWriters => hold(to, count, format!("GET /x {HOST}X: "), done).await,
        Case::SlowReaders => hold(to, count, get("/large"), done).await,
        Case::SlowReadersOfStored => {
            asked(
                to,
                1,
                |_| format!("GET /stored {HOST}\r\n"),
                Done::default(),
            )
            .await?;
            hold(to, count, get("/stored"), done).await
        }
        Case::Pipelined => hold(to, count, get("/middle").repeat(1500), done).await,
        Case::Streams => hold(to, count, streams(100), done).await,
        Case::Headers => heads(to, count, format!("GET /x {HOST}"), done).await,
        Case::ChunksUp => {
            let head = format!("POST /up {HOST}Transfer-Encoding: chunked\r\n\r\n");
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            each(count, move |_| {
                let (head, chunk, done) = (head.clone(), chunk.clone(), done.clone());
                async move {
                    let mut stream = TcpStream::connect(to).await?;
                    stream.write_all(head.as_bytes()).await?;
                    for _ in 0..2_000 {
                        stream.write_all(chunk.as_bytes()).await?;
                    }
                    done.one();
                    Ok(())
                }
            })
            .await
        }
        Case::ChunksDown => {
            each(count, move |n| {
                let done = done.clone();
                async move {
                    let mut stream = TcpStream::connect(to).await?;
                    let head = format!("GET /endless/{n} {HOST}\r\n");
                    stream.write_all(head.as_bytes()).await?;
                    let mut piece = vec![0; 1 << 16];
                    for _ in 0..2_000 {
                        stream.read_exact(&mut piece).await?;
                    }
                    done.one();
                    Ok(())
                }
            })
            .await
        }
        Case::Urls => asked(to, count, |n| format!("GET /{n} {HOST}\r\n"), done).await,
        Case::Variants => {
            let variant = |n| format!("GET /vary {HOST}X-By: {n}\r\n\r\n");
            asked(to, count, variant, done).await
        }
    }
}

/// What is said on a connection in HTTP/2 on which so many things are asked for.
fn streams(count: u32) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // :method GET, :scheme http, :path /middle, :authority h
    let head = b"\x82\x86\x04\x07/middle\x41\x01h";
    for stream in 0..count {
        // HEADERS, with END_STREAM and END_HEADERS.
        bytes.extend([0, 0, head.len() as u8, 1, 5]);
        bytes.extend((2 * stream + 1).to_be_bytes());
        bytes.extend(head);
    }
    bytes
}

/// Opens connections, sends `bytes` on each, and reads nothing for a while.
async fn hold(
    to: SocketAddr,
    count: usize,
    bytes: impl AsRef<[u8]>,
    done: Done,
) -> Result<(), Failure> {
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(to).await?;
        // Who is not read from is not waited for.
        let written = stream.write_all(bytes.as_ref());
        let _ = timeout(Duration::from_millis(100), written).await;
        held.push(stream);
        done.one();
    }
    sleep(HELD).await;
    Ok(())
}

/// Sends so many megabytes of fields, on a new connection whenever one is refused.
async fn heads(to: SocketAddr, megabytes: usize, start: String, done: Done) -> Result<(), Failure> {
    let line = format!("X: {}\r\n", "x".repeat(1000));
    let mut stream = None;
    for n in 1..=megabytes * 1000 {
        let mut open = match stream.take() {
            Some(open) => open,
            None => {
                let mut open = TcpStream::connect(to).await?;
                open.write_all(start.as_bytes()).await?;
                open
            }
        };
        if open.write_all(line.as_bytes()).await.is_ok() {
            stream = Some(open);
        }
        if n % 1000 == 0 {
            done.one();
        }
    }
    Ok(())
}

/// Does so many things at once.
async fn each<F>(count: usize, what: impl Fn(usize) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let mut all: JoinSet<_> = (0..count).map(what).collect();
    while let Some(one) = all.join_next().await {
        one??;
    }
    Ok(())
}

/// Asks so many things on a few connections, some ahead of their answers.
async fn asked(
    to: SocketAddr,
    count: usize,
    request: impl Fn(usize) -> String + Send + Sync + 'static,
    done: Done,
) -> Result<(), Failure> {
    const CONNECTIONS: usize = 8;
    const AHEAD: usize = 16;
    let request = Arc::new(request);
    each(CONNECTIONS, move |connection| {
        let (request, done) = (Arc::clone(&request), done.clone());
        async move {
            let mut stream = BufReader::new(TcpStream::connect(to).await?);
            let mine: Vec<_> = (connection..count).step_by(CONNECTIONS).collect();
            for some in mine.chunks(AHEAD) {
                let all: String = some.iter().map(|n| request(*n)).collect();
                stream.write_all(all.as_bytes()).await?;
                for _ in some {
                    answer(&mut stream).await?;
                    done.one();
                }
            }
            Ok(())
        }
    })
    .await
}

/// Reads one answer, which has a length.
async fn answer(stream: &mut BufReader<TcpStream>) -> Result<(), Failure> {
    let (mut line, mut length) = (String::new(), 0);
    while line != "\r\n" {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err("it was closed".into());
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.trim().parse()?;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(())
}
