//! What Redis does to larder: nothing that a client notices. Each response is checked, the loss
//! is told once, and larder takes Redis up again soon after it is well.

mod bodies;
mod load;
mod outages;
mod places;
mod values;

use std::time::Duration;

use tokio::time::Instant;

use crate::support::{
    origin::Origin,
    program::Logged,
    proxy::{Answer, ask, request, soon},
};

/// How long it may be until larder has noticed that Redis is well: it says 2 s, and the other tests
/// keep the machine busy.
pub(super) const HEALS_WITHIN: Duration = Duration::from_secs(4);

/// Without the events of each request: nobody reads them here, and a pipe that is full stops who
/// writes to it. A warning for each would be seen.
const LOG: &str = "--log=warn,larder::proxy=info";

/// larder as a program, before an origin that answers with the request's target.
struct Site {
    origin: Origin,
    larder: Logged,
    flags: Vec<String>,
}

impl Site {
    async fn on(redis_url: &str) -> Self {
        Site::with(redis_url, &["--near=on"]).await
    }

    async fn with(redis_url: &str, more: &[&str]) -> Self {
        let origin = Origin::echoing().await;
        let (to, url) = (origin.url(), format!("--redis-url={redis_url}"));
        let flags = ["--backend=redis", "--ttl=600", &url, "--origin", &to, LOG];
        let flags = [&flags, more].concat();
        Site {
            larder: Logged::start(&flags).await,
            origin,
            flags: flags.into_iter().map(str::to_owned).collect(),
        }
    }

    /// Kills larder, and starts it again.
    async fn start_again(&mut self) {
        self.larder.kill().await;
        let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
        self.larder = Logged::start(&flags).await;
    }

    /// Has what is stored for this purged, while Redis is away.
    async fn purge_in_vain(&self, path: &str) {
        let purge = request("DELETE", &format!("/cache?url={path}"), &[], "");
        assert_eq!(ask(self.larder.address, purge).await.status, 503);
    }

    /// Asks, and checks the answer.
    async fn get(&self, path: &str) -> Answer {
        let answer = self.larder.get(path).await;
        assert_eq!(
            (answer.status, answer.text()),
            (200, &*format!("\"{path}\""))
        );
        answer
    }

    /// Asks for many things, some of them known and some not.
    async fn use_it(&self, round: usize) {
        for n in 0..20 {
            self.get(&format!("/known/{n}")).await;
            self.get(&format!("/new/{round}/{n}")).await;
        }
    }

    async fn until_hit(&self, path: &str) {
        soon(async { while !self.get(path).await.is_hit() {} }).await;
    }

    /// Whether the cache is "ok" or "degraded". It serves, whichever it is.
    async fn cache(&self) -> String {
        let answer = self.larder.get("/healthz").await;
        assert_eq!(answer.status, 200);
        let health = answer.json();
        assert_eq!(health["status"], "serving");
        health["cache"].as_str().unwrap().to_owned()
    }

    /// Uses it until the cache is in this state. Answers how long it took.
    async fn until_cache_is(&self, state: &str) -> Duration {
        let start = Instant::now();
        soon(async {
            let mut round = 0;
            while self.cache().await != state {
                self.get("/known/0").await;
                self.get(&format!("/until/{state}/{round}")).await;
                round += 1;
            }
        })
        .await;
        start.elapsed()
    }

    async fn figure(&self, name: &str) -> i64 {
        let answer = self.larder.get("/metrics").await;
        answer.json()["metrics"][name].as_i64().unwrap()
    }

    /// How often this was logged, of what was read of the log.
    fn said(&self, what: &str) -> usize {
        self.larder.text.matches(what).count()
    }

    /// Ends well: the log said once why Redis was lost, and that it is back.
    async fn lost_once(&mut self, reason: &str) {
        self.larder.event("redis is back").await;
        assert_eq!(self.said("redis lost"), 1, "{}", self.larder.text);
        let warnings = self.said("\"level\":\"WARN\"") + self.said("\"level\":\"ERROR\"");
        assert_eq!(warnings, 1, "{}", self.larder.text);
        let lost = self.larder.event("redis lost").await;
        assert_eq!(lost["level"], "WARN");
        let said = lost["reason"].as_str().unwrap();
        assert!(said.contains(reason), "{said}");
    }
}
