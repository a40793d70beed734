//! `/proxy?url=`, over one connection to the program's server: a hit of 1 KiB in its envelope, and
//! beside it the same as it is. Most of both is the kernel's.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use criterion::Criterion;
use larder::proxy::{
    Proxy,
    config::{self, Command},
};
use tokio::{runtime::Builder, sync::oneshot};

use crate::kit::FIELDS;

pub(crate) fn bench(c: &mut Criterion) {
    let origin = origin().expect("loopback");
    let rt = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let args = ["--port=0".to_owned(), format!("--origin=http://{origin}")];
    let config = match config::parse(args.map(Into::into), |_| None) {
        Ok(Command::Run(config)) => *config,
        _ => unreachable!("it is to run"),
    };
    let proxy = rt.block_on(Proxy::bind(config)).expect("a free port");
    let address = proxy.local_addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = rt.spawn(proxy.run(async {
        let _ = stopped.await;
    }));

    let mut group = c.benchmark_group("envelope");
    let mut connection = BufReader::new(TcpStream::connect(address).expect("it listens"));
    connection.get_ref().set_nodelay(true).expect("a socket");
    for (name, target) in [("without", "/a"), ("hit 1KiB", "/proxy?url=%2Fa")] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: {address}\r\n\r\n");
        let mut ask = || ask(&mut connection, &request).expect("an answer");
        assert!(ask() >= 1024, "not what the origin says");
        group.bench_function(name, |b| b.iter(&mut ask));
    }
    group.finish();
    drop((connection, stop));
    rt.block_on(served).expect("no panic");
}

/// Answers everything with 1 KiB of JSON.
fn origin() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let body = format!("\"{}\"", "x".repeat(1022));
    let fields = FIELDS.map(|(name, value)| format!("{name}: {value}\r\n"));
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 1024\r\n{}\r\n{body}",
        fields.concat()
    );
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = BufReader::new(stream);
            while head(&mut stream).is_ok_and(|head| head.is_some()) {
                let _ = stream.get_mut().write_all(answer.as_bytes());
            }
        }
    });
    Ok(address)
}

/// Asks, and reads the answer. Its length is that of its body.
fn ask(connection: &mut BufReader<TcpStream>, request: &str) -> io::Result<u64> {
    connection.get_mut().write_all(request.as_bytes())?;
    let length = head(connection)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    io::copy(&mut connection.take(length), &mut io::sink())
}

/// Reads a head, and tells the length of the body that follows; `None` at the end.
fn head(connection: &mut impl BufRead) -> io::Result<Option<u64>> {
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if connection.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            return Ok(Some(length));
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
}
