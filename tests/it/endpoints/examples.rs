//! The examples, run as somebody who tries them would.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use crate::support::{
    origin::{Origin, nobody},
    proxy::{Answer, Larder, ask, request, soon},
    script::respond,
};

/// A running example, ended with the test.
struct Example {
    child: Child,
    address: SocketAddr,
}

impl Example {
    /// Starts one that serves, on a free port, which it prints.
    fn start(name: &str, args: &[&str]) -> Self {
        let mut child = command(name)
            .arg("127.0.0.1:0")
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap();
        Example {
            address: address.parse().unwrap(),
            child,
        }
    }

    async fn get(&self, target: &str) -> Answer {
        ask(self.address, request("GET", target, &[], "")).await
    }

    /// First a miss, and then the same from the cache.
    async fn miss_then_hit(&self, target: &str) -> Answer {
        let first = self.get(target).await;
        assert_eq!((first.status, first.is_hit()), (200, false), "{target}");
        soon(async {
            loop {
                let again = self.get(target).await;
                assert_eq!(again.body, first.body);
                if again.is_hit() {
                    return again;
                }
            }
        })
        .await
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `cargo test` builds the examples beside the program.
fn command(name: &str) -> Command {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_larder"));
    let mut command = Command::new(program.with_file_name("examples").join(name));
    command.stdin(Stdio::null());
    command
}

#[tokio::test]
async fn axum() {
    let shop = Example::start("axum", &[]);
    let product = shop.miss_then_hit("/products/7").await.json();
    assert_eq!(
        (&product["id"], &product["looked_up"]),
        (&7.into(), &1.into())
    );
    shop.miss_then_hit("/products/8").await;
    for _ in 0..2 {
        assert!(!shop.get("/cart").await.is_hit());
    }
}

#[tokio::test]
async fn axum_before_an_origin() {
    let origin = Origin::at_once(|number, request| match request.uri().path() {
        "/base/a" => respond(200, &[("cache-control", "max-age=60")], number.to_string()),
        _ => respond(404, &[], "nothing there"),
    })
    .await;
    let base = origin.url() + "/base/";
    let proxy = Example::start("axum", &["--origin", &base]);
    proxy.miss_then_hit("/a").await;
    assert_eq!(proxy.get("/b").await.status, 404);

    let nobody = nobody();
    let proxy = Example::start("axum", &["--origin", &nobody.url()]);
    assert_eq!(proxy.get("/a").await.status, 502);
}

#[tokio::test]
async fn hyper() {
    let report = Example::start("hyper", &[]);
    report.miss_then_hit("/").await;
}

#[tokio::test]
async fn client() {
    let origin = Origin::saying("text/plain", b"hello").await;
    let url = origin.url();
    let run = tokio::task::spawn_blocking(move || command("client").arg(url).output().unwrap());
    let output = soon(run).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(
        lines[0].starts_with("200 OK, 5 bytes, larder; fwd=uri-miss"),
        "{said}"
    );
    assert!(lines[1].starts_with("200 OK, 5 bytes, larder; "), "{said}");
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn larder_before_the_shop() {
    let shop = Example::start("shop", &["0"]);
    let larder = Larder::before(&format!("http://{}", shop.address), &[]).await;
    let first = larder.proxy("products/1").await;
    assert_eq!(first.json()["source"], "upstream");
    assert_eq!(first.json()["data"]["id"], 1);
    assert_eq!(larder.proxy("products/1").await.json()["source"], "cache");
    let page = larder.get("/products?limit=3&skip=6").await;
    assert_eq!(page.json()["products"].as_array().unwrap().len(), 3);
    assert!(larder.proxy("/products?limit=3&skip=6").await.is_hit());
    let missing = larder.proxy("products/999").await;
    assert_eq!(missing.json()["error"]["code"], "upstream_status");
    assert_eq!(missing.status, 404);
}
