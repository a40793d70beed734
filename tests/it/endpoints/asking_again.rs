//! Many requests on one connection: each is answered as it would be on a connection of its own,
//! whatever came before it, and however it came.

use std::collections::BTreeMap;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    origin::Origin,
    proxy::{Larder, soon},
    script::respond,
};

const PLAIN: &str = "Host: h\r\nUser-Agent: a\r\n";

/// Requests whose answers do not depend on when they are asked.
fn requests() -> Vec<String> {
    let mut all = Vec::new();
    for target in [
        "/small",
        "/small",
        "/small",
        "/other?a=b",
        "/large",
        "/empty",
        "/nothing",
        "/gone",
        "/never",
        "/proxy?url=small",
        "/proxy?url=large",
        "/proxy?url=",
        "/healthz",
        "/a%20b",
        "/..%2fa",
    ] {
        all.push(format!("GET {target} HTTP/1.1\r\n{PLAIN}\r\n"));
    }
    for fields in [
        "Range: bytes=1-3\r\n",
        "If-None-Match: \"1\"\r\n",
        "Cookie: a=b\r\n",
        "Cache-Control: no-cache\r\n",
        "Connection: keep-alive\r\n",
        "X-Forwarded-Host: evil\r\n",
        "Via: 1.1 other\r\n",
        "Content-Length: 0\r\n",
    ] {
        all.push(format!("GET /small HTTP/1.1\r\n{PLAIN}{fields}\r\n"));
    }
    for line in [
        "HEAD /small HTTP/1.1",
        "GET http://h/small HTTP/1.1",
        "OPTIONS /small HTTP/1.1",
    ] {
        all.push(format!("{line}\r\n{PLAIN}\r\n"));
    }
    let within = format!("GET /small HTTP/1.1\r\n{PLAIN}\r\n");
    let size = within.len();
    for line in ["POST /never", "GET /small"] {
        all.push(format!(
            "{line} HTTP/1.1\r\n{PLAIN}Content-Length: {size}\r\n\r\n{within}"
        ));
        all.push(format!(
            "{line} HTTP/1.1\r\n{PLAIN}Transfer-Encoding: chunked\r\n\r\n\
             {size:x}\r\n{within}\r\n0\r\n\r\n"
        ));
    }
    all
}

/// An origin of all that is asked for.
async fn origin() -> Origin {
    Origin::at_once(|_, request| {
        let json = ("content-type", "application/json");
        let kept = [json, ("cache-control", "max-age=600"), ("etag", "\"1\"")];
        let quoted = |size| format!("\"{}\"", "x".repeat(size));
        match request.uri().path() {
            "/large" => respond(200, &kept, quoted(50_000)),
            "/empty" => respond(200, &kept, ""),
            "/nothing" => respond(204, &kept[1..], ""),
            "/gone" => respond(410, &kept, quoted(5)),
            "/never" => respond(200, &[json, ("cache-control", "no-store")], quoted(7)),
            path => respond(200, &kept, format!("\"{path}\"")),
        }
    })
    .await
}

/// What an answer says that does not change with time.
#[derive(Debug, PartialEq)]
struct Answer {
    status: String,
    fields: BTreeMap<String, String>,
    body: String,
}

/// The next answer, to a request for this.
async fn next(stream: &mut TcpStream, buffer: &mut Vec<u8>, request: &str) -> Answer {
    let mut fill = async |buffer: &mut Vec<u8>| {
        let count = soon(stream.read_buf(buffer)).await.unwrap();
        assert!(count > 0, "no answer to {request}");
    };
    let end = loop {
        match buffer.windows(4).position(|it| it == b"\r\n\r\n") {
            Some(end) => break end + 4,
            None => fill(buffer).await,
        }
    };
    let head = String::from_utf8(buffer.drain(..end).collect()).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().unwrap().to_owned();
    let mut fields = BTreeMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        let value = match name {
            "age" | "date" => "",
            "cache-status" => value.split("ttl=").next().unwrap(),
            _ => value,
        };
        assert!(
            fields.insert(name.to_owned(), value.to_owned()).is_none(),
            "{head}"
        );
    }
    let length = fields
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let has_body = !request.starts_with("HEAD") && !status.contains(" 304 ");
    let length = if has_body { length } else { 0 };
    while buffer.len() < length {
        fill(buffer).await;
    }
    let body = String::from_utf8(buffer.drain(..length).collect()).unwrap();
    Answer {
        status,
        fields,
        body,
    }
}

async fn connect(larder: &Larder) -> TcpStream {
    let stream = TcpStream::connect(larder.address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Numbers that look like chance, and are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % most
    }
}

#[tokio::test]
async fn each_is_answered_as_if_it_were_alone() {
    let origin = origin().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    let requests = requests();
    let mut alone = Vec::new();
    for round in 0..2 {
        // What is stored is stored by the second round.
        for (n, request) in requests.iter().enumerate() {
            let mut stream = connect(&larder).await;
            stream.write_all(request.as_bytes()).await.unwrap();
            let answer = next(&mut stream, &mut Vec::new(), request).await;
            match round {
                0 => alone.push(answer),
                _ => alone[n] = answer,
            }
        }
    }
    let mut chance = Chance(1);
    for _ in 0..60 {
        let (mut stream, mut heard) = (connect(&larder).await, Vec::new());
        // Most connections are used by those who ask by the book.
        let by_the_book = chance.below(3) > 0;
        for _ in 0..12 {
            let n = match chance.below(2) {
                0 => 0,
                _ => chance.below(if by_the_book { 26 } else { requests.len() }),
            };
            let (first, second) = (&requests[n], &requests[chance.below(26)]);
            let bytes = first.as_bytes();
            match chance.below(if by_the_book { 1 } else { 3 }) {
                0 => stream.write_all(bytes).await.unwrap(),
                1 => {
                    let (one, two) = bytes.split_at(chance.below(bytes.len()));
                    stream.write_all(one).await.unwrap();
                    tokio::task::yield_now().await;
                    stream.write_all(two).await.unwrap();
                }
                _ => {
                    stream
                        .write_all((first.clone() + second).as_bytes())
                        .await
                        .unwrap();
                    let answer = next(&mut stream, &mut heard, first).await;
                    assert_eq!(answer, alone[n], "{first}");
                    let n = requests.iter().position(|it| it == second).unwrap();
                    let answer = next(&mut stream, &mut heard, second).await;
                    assert_eq!(answer, alone[n], "{second} after {first}");
                    continue;
                }
            }
            let answer = next(&mut stream, &mut heard, first).await;
            assert_eq!(answer, alone[n], "{first}");
        }
        assert!(heard.is_empty(), "nobody asked for {heard:?}");
    }
}

#[tokio::test]
async fn all_are_counted() {
    let origin = origin().await;
    let larder = Larder::before(&origin.url(), &[]).await;
    larder.until_hit("/small").await;
    larder.until_hit("/large").await;
    let count = async |name: &str| {
        let figures = larder.get("/metrics").await.json();
        figures["metrics"][name].as_u64().unwrap()
    };
    let (hits, bytes) = (count("cache_hits").await, count("bytes_from_cache").await);
    let (mut stream, mut heard) = (connect(&larder).await, Vec::new());
    let mut sent = 0;
    for n in 0..20 {
        let target = ["/small", "/large", "/proxy?url=small"][n % 3];
        let request = format!("GET {target} HTTP/1.1\r\n{PLAIN}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = next(&mut stream, &mut heard, &request).await;
        assert_eq!(answer.fields["x-cache"], "HIT");
        sent += match n % 3 {
            1 => 50_002,
            _ => "\"/small\"".len() as u64,
        };
    }
    assert_eq!(count("cache_hits").await - hits, 20);
    assert_eq!(count("bytes_from_cache").await - bytes, sent);
}
