//! Attacks a larder with what uses up memory and time, and prints what that did to it: its peak
//! RSS, and how long other clients waited. `make soak` runs it; `SCALE` makes it smaller.

use std::{
    convert::Infallible,
    error::Error,
    io::BufRead,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, channel::Channel, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};

type Failure = Box<dyn Error + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How long each case lasts at most.
const CASE: Duration = Duration::from_secs(40);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let larder = args.next().ok_or("soak PATH-OF-LARDER [SCALE]")?;
    let scale: f64 = args.next().map_or(Ok(1.0), |scale| scale.parse())?;
    let many = |n: usize| ((n as f64 * scale) as usize).max(1);
    let origin = origin().await?;
    println!(
        "{:<34} {:>9} {:>9} {:>9}",
        "case", "peak RSS", "p99", "answers"
    );
    for case in CASES {
        let served = Served::start(&larder, origin)?;
        let address = served.address;
        get(address, "/warm").await?;
        let attack = tokio::spawn(timeout(CASE, attack(*case, address, many(case.count()))));
        let mut waited = Vec::new();
        while !attack.is_finished() {
            let since = Instant::now();
            timeout(CASE, get(address, "/warm")).await??;
            waited.push(since.elapsed());
            sleep(Duration::from_millis(10)).await;
        }
        waited.sort_unstable();
        let p99 = waited
            .get(waited.len() * 99 / 100)
            .copied()
            .unwrap_or_default();
        println!(
            "{:<34} {:>5} MiB {:>6.1} ms {:>9}",
            format!("{} {}", many(case.count()), case.name()),
            served.peak_rss()? >> 20,
            p99.as_secs_f64() * 1e3,
            waited.len(),
        );
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Case {
    Idle,
    SlowWriters,
    SlowReaders,
    Pipelined,
    Headers,
    ChunksUp,
    ChunksDown,
    Urls,
    Variants,
}

const CASES: &[Case] = &[
    Case::Idle,
    Case::SlowWriters,
    Case::SlowReaders,
    Case::Pipelined,
    Case::Headers,
    Case::ChunksUp,
    Case::ChunksDown,
    Case::Urls,
    Case::Variants,
];

impl Case {
    fn name(self) -> &'static str {
        match self {
            Case::Idle => "idle connections",
            Case::SlowWriters => "slow writers",
            Case::SlowReaders => "slow readers of 64 MiB",
            Case::Pipelined => "pipelined unread requests",
            Case::Headers => "MB of headers",
            Case::ChunksUp => "endless bodies up",
            Case::ChunksDown => "endless bodies down",
            Case::Urls => "URLs",
            Case::Variants => "variants of one URL",
        }
    }

    fn count(self) -> usize {
        match self {
            Case::Idle | Case::Variants => 10_000,
            Case::SlowWriters | Case::SlowReaders => 1_000,
            Case::Pipelined => 1_500,
            Case::Headers => 100,
            Case::ChunksUp | Case::ChunksDown => 50,
            Case::Urls => 1_000_000,
        }
    }
}

async fn attack(case: Case, to: SocketAddr, count: usize) -> Result<(), Failure> {
    const HOST: &str = "HTTP/1.1\r\nHost: h\r\n";
    match case {
        Case::Idle => hold(to, count, String::new()).await,
        Case::SlowWriters => hold(to, count, format!("GET /x {HOST}X: ")).await,
        Case::SlowReaders => hold(to, count, format!("GET /large {HOST}\r\n")).await,
        Case::Pipelined => {
            let all = format!("GET /middle {HOST}\r\n").repeat(count);
            hold(to, 1, all).await
        }
        Case::Headers => {
            let mut stream = TcpStream::connect(to).await?;
            stream
                .write_all(format!("GET /x {HOST}").as_bytes())
                .await?;
            let line = format!("X: {}\r\n", "x".repeat(1000));
            for _ in 0..count * 1000 {
                if stream.write_all(line.as_bytes()).await.is_err() {
                    break; // it was refused
                }
            }
            Ok(())
        }
        Case::ChunksUp => {
            let head = format!("POST /up {HOST}Transfer-Encoding: chunked\r\n\r\n");
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            each(count, move |_| {
                let (head, chunk) = (head.clone(), chunk.clone());
                async move {
                    let mut stream = TcpStream::connect(to).await?;
                    stream.write_all(head.as_bytes()).await?;
                    for _ in 0..2_000 {
                        stream.write_all(chunk.as_bytes()).await?;
                    }
                    Ok(())
                }
            })
            .await
        }
        Case::ChunksDown => {
            each(count, move |n| async move {
                let mut stream = TcpStream::connect(to).await?;
                let head = format!("GET /endless/{n} {HOST}\r\n");
                stream.write_all(head.as_bytes()).await?;
                let mut piece = vec![0; 1 << 16];
                for _ in 0..2_000 {
                    if stream.read(&mut piece).await? == 0 {
                        break;
                    }
                }
                Ok(())
            })
            .await
        }
        Case::Urls => asked(to, count, |n| format!("GET /{n} {HOST}\r\n")).await,
        Case::Variants => asked(to, count, |n| format!("GET /vary {HOST}X-By: {n}\r\n\r\n")).await,
    }
}

/// Opens connections, sends `bytes` on each, and reads nothing for a while.
async fn hold(to: SocketAddr, count: usize, bytes: String) -> Result<(), Failure> {
    let mut held = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(to).await?;
        // Who is not read from is not waited for.
        let _ = timeout(
            Duration::from_millis(100),
            stream.write_all(bytes.as_bytes()),
        )
        .await;
        held.push(stream);
    }
    sleep(Duration::from_secs(5)).await;
    Ok(())
}

/// Does so many things at once.
async fn each<F>(count: usize, what: impl Fn(usize) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let mut all: JoinSet<_> = (0..count).map(what).collect();
    while all.join_next().await.is_some() {}
    Ok(())
}

/// Asks so many things, one after the other on a few connections.
async fn asked(
    to: SocketAddr,
    count: usize,
    request: impl Fn(usize) -> String + Send + Sync + 'static,
) -> Result<(), Failure> {
    const CONNECTIONS: usize = 8;
    let request = Arc::new(request);
    each(CONNECTIONS, move |connection| {
        let request = Arc::clone(&request);
        async move {
            let mut stream = BufReader::new(TcpStream::connect(to).await?);
            for n in (connection..count).step_by(CONNECTIONS) {
                stream.write_all(request(n).as_bytes()).await?;
                answer(&mut stream).await?;
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

async fn get(to: SocketAddr, path: &str) -> Result<(), Failure> {
    let mut stream = BufReader::new(TcpStream::connect(to).await?);
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    answer(&mut stream).await
}

/// A larder of its own for each case, ended with it.
struct Served {
    child: Child,
    address: SocketAddr,
}

impl Served {
    fn start(path: &str, origin: SocketAddr) -> Result<Self, Failure> {
        let mut child = Command::new(path)
            .args([
                "--port=0",
                "--log=info,larder::request=off",
                "--log-format=json",
            ])
            .arg(format!("--origin=http://{origin}"))
            .stderr(Stdio::piped())
            .spawn()?;
        let log = child.stderr.take().ok_or("it has no log")?;
        let mut lines = std::io::BufReader::new(log).lines();
        let listening = |line: String| {
            let (_, rest) = line.split_once("listening on http://")?;
            rest.split('"').next()?.parse().ok()
        };
        let address = lines.by_ref().map_while(Result::ok).find_map(listening);
        // What it says later must not make it wait.
        std::thread::spawn(move || lines.for_each(drop));
        let address = address.ok_or("it does not listen")?;
        Ok(Served { child, address })
    }

    fn peak_rss(&self) -> Result<u64, Failure> {
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

/// An origin that answers whatever the cases ask.
async fn origin() -> Result<SocketAddr, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(respond));
            tokio::spawn(connection);
        }
    });
    Ok(address)
}

async fn respond(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    let varies = path == "/vary";
    let full = |size: usize| Full::new(Bytes::from(vec![b'x'; size])).boxed_unsync();
    let body = match path {
        "/large" => full(64 << 20),
        "/middle" => full(50_000),
        "/up" => {
            let mut body = request.into_body();
            while let Some(Ok(_)) = body.frame().await {}
            return Ok(Response::new(full(0)));
        }
        _ if path.starts_with("/endless") => {
            let (mut sender, body) = Channel::new(1);
            tokio::spawn(async move {
                let piece = Bytes::from(vec![b'x'; 1 << 16]);
                while sender.send(Frame::data(piece.clone())).await.is_ok() {}
            });
            body.boxed_unsync()
        }
        _ => full(1000),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        "cache-control",
        http::HeaderValue::from_static("max-age=600"),
    );
    if varies {
        headers.insert("vary", http::HeaderValue::from_static("x-by"));
    }
    Ok(response)
}
