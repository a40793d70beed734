//! The rows that are measured in interleaved rounds, with one core for the server.

use std::{fs, path::PathBuf};

use crate::{
    kit::{
        Failure,
        origin::Origin,
        process::Process,
        run::{Measured, Path, distinct, same},
    },
    report::{Goal, Report},
    rounds::{Contender, FILLING, From, HITS, Manner, Outcome, interleaved, of, ratio, table},
    servers::{PEERS, Peer, Starter},
    settings::{SERVER, Settings},
};

/// The servers of these rows, all running: who is not asked uses nothing.
pub(crate) struct Servers {
    bare: Process,
    bare_proxy: Process,
    larder: Process,
    peers: Vec<(Peer, Process)>,
    log: Option<(Process, PathBuf)>,
}

const BARE: &str = "bare hyper";
const LARDER: &str = "larder";
const ENVELOPE: &str = "larder, /proxy?url=";
const LOGGING: &str = "larder, access log";

fn cpu(measured: &Measured) -> f64 {
    measured.cpu_micros()
}

impl Servers {
    pub(crate) fn start(starter: &Starter<'_>) -> Result<Servers, Failure> {
        let mut peers = Vec::new();
        for peer in PEERS {
            match starter.peer(peer) {
                Ok(Some(process)) => peers.push((peer, process)),
                Ok(None) => eprintln!(
                    "{} is not here: apt-get install haproxy nginx varnish",
                    peer.name()
                ),
                Err(error) => eprintln!("{} does not start: {error}", peer.name()),
            }
        }
        Ok(Servers {
            bare: starter.bare(SERVER)?,
            bare_proxy: starter.bare_proxy()?,
            larder: starter.larder(SERVER, &[])?,
            peers,
            log: Some(starter.logging()?),
        })
    }

    /// What is asked of all alike: of `base`, of larder, and of the peers.
    fn all<'a>(&'a self, base: (&'a str, &'a Process), path: Path) -> Vec<Contender<'a>> {
        let own = [base, (LARDER, &self.larder)];
        let peers = self
            .peers
            .iter()
            .map(|(peer, server)| (peer.name(), server));
        let all = own.into_iter().chain(peers);
        all.map(|(name, server)| Contender {
            name,
            server,
            path: path.clone(),
        })
        .collect()
    }

    /// A hit of 1 KiB, in all the ways that there are. Its outcomes make the plot.
    pub(crate) fn small(
        &mut self,
        settings: &Settings,
        origin: &Origin,
        report: &mut Report,
    ) -> Result<Vec<Outcome>, Failure> {
        let path = same("/size/1024");
        let log = self.log.take();
        let (logging, log) = log.ok_or("this is measured once")?;
        let mut all = self.all((BARE, &self.bare), path.clone());
        all.insert(1, self.same_head());
        let more = [
            (ENVELOPE, &self.larder, same("/proxy?url=%2Fsize%2F1024")),
            (LOGGING, &logging, path),
        ];
        for (n, (name, server, path)) in more.into_iter().enumerate() {
            all.insert(n + 3, Contender { name, server, path });
        }
        let outcomes = interleaved(settings, origin, "hit, 1 KiB", HITS, &all);
        drop(all);
        let note = "32 connections. \"Same head\" is bare hyper with the fields of larder's hit.";
        report.tables.push(table("Hit, 1 KiB", note, &outcomes));

        let times_bare = |name| ratio(&outcomes, (name, BARE), cpu);
        let saves = |peer| ratio(&outcomes, (peer, LARDER), cpu);
        let per_cpu = "requests per CPU second";
        let goal = Goal::of("hit, 1 KiB")
            .at_most(1.10, " ×", "bare hyper's CPU", times_bare(LARDER))
            .at_least(1.8, " ×", &format!("nginx's {per_cpu}"), saves("nginx"))
            .at_least(
                1.25,
                " ×",
                &format!("HAProxy's {per_cpu}"),
                saves("HAProxy"),
            );
        report.goals.push(goal);
        let goal = Goal::of("the same through `/proxy?url=`");
        let value = times_bare(ENVELOPE);
        report
            .goals
            .push(goal.at_most(1.2, " ×", "bare hyper's CPU", value));

        let sent = of(&outcomes, LOGGING).map_or(0, |outcome| {
            let rounds = outcome.rounds.iter().map(|round| round.in_all);
            rounds.sum::<u64>() + FILLING
        });
        drop(logging);
        let lines = lines(&fs::read_to_string(log)?);
        let goal = Goal::of("the same with the access log on (JSON to a file)")
            .at_most(1.25, " ×", "bare hyper's CPU", times_bare(LOGGING))
            .at_most(0.0, "", "lines lost", Some(sent.abs_diff(lines) as f64))
            .note(format!("{lines} lines for {sent} requests"));
        report.goals.push(goal);
        Ok(outcomes)
    }

    pub(crate) fn middle(&self, settings: &Settings, origin: &Origin, report: &mut Report) {
        let all = self.all((BARE, &self.bare), same("/size/262144"));
        let outcomes = interleaved(settings, origin, "hit, 256 KiB", HITS, &all);
        report
            .tables
            .push(table("Hit, 256 KiB", "32 connections.", &outcomes));
        let (own, nginx) = (
            ratio(&outcomes, (LARDER, BARE), cpu),
            ratio(&outcomes, ("nginx", LARDER), cpu),
        );
        let goal = Goal::of("hit, 256 KiB")
            .at_most(1.05, " ×", "bare hyper's CPU", own)
            .at_least(1.3, " ×", "nginx's bytes per CPU second", nginx);
        report.goals.push(goal);
    }

    pub(crate) fn large(&self, settings: &Settings, origin: &Origin, report: &mut Report) {
        let all = self.all((BARE, &self.bare), same("/size/4194304"));
        let outcomes = interleaved(settings, origin, "hit, 4 MiB", HITS, &all);
        report
            .tables
            .push(table("Hit, 4 MiB", "32 connections.", &outcomes));
        let bytes = |other| ratio(&outcomes, (LARDER, other), Measured::megabytes_per_second);
        let used = ratio(&outcomes, (LARDER, "nginx"), cpu);
        let used = used.map_or(String::new(), |used| {
            format!("{used:.2} × nginx's CPU (sendfile)")
        });
        let goal = Goal::of("hit, 4 MiB")
            .at_least(1.0, " ×", "nginx's bytes per second", bytes("nginx"))
            .at_least(0.95, " ×", "bare hyper's", bytes(BARE))
            .note(used);
        report.goals.push(goal);
    }

    pub(crate) fn misses(&self, settings: &Settings, origin: &Origin, report: &mut Report) {
        const BASE: &str = "bare hyper proxy";
        let all = self.all((BASE, &self.bare_proxy), distinct("/size/1024/miss/"));
        let manner = Manner {
            from: From::Origin,
            ..HITS
        };
        let outcomes = interleaved(settings, origin, "miss, 1 KiB", manner, &all);
        let note = "32 connections, each URL once. The origin has the load's core.";
        report.tables.push(table("Miss, 1 KiB", note, &outcomes));
        let value = ratio(&outcomes, (LARDER, BASE), cpu);
        let what = "CPU of hyper's server and client with no cache between them";
        let goal = Goal::of("miss, 1 KiB, keep-alive upstream");
        report.goals.push(goal.at_most(1.15, " ×", what, value));
    }

    /// Bare hyper, with the fields of larder's hit.
    fn same_head(&self) -> Contender<'_> {
        Contender {
            name: "bare hyper, same head",
            server: &self.bare,
            path: same("/size/1024?fields"),
        }
    }

    /// Bare hyper and larder alone.
    fn two(&self) -> Vec<Contender<'_>> {
        let two = self.all((BARE, &self.bare), same("/size/1024"));
        two.into_iter().take(2).collect()
    }

    pub(crate) fn h2(&self, settings: &Settings, origin: &Origin, report: &mut Report) {
        let manner = Manner {
            connections: 1,
            streams: Some(32),
            ..HITS
        };
        let mut all = self.two();
        all.insert(1, self.same_head());
        let outcomes = interleaved(settings, origin, "HTTP/2", manner, &all);
        let note = "One connection with 32 requests under way, by prior knowledge. \"Same head\" \
                    is bare hyper with the fields of larder's hit.";
        report
            .tables
            .push(table("HTTP/2 hit, 1 KiB", note, &outcomes));
        let value = ratio(&outcomes, (LARDER, BARE), cpu);
        let goal = Goal::of("HTTP/2 hit, 32 streams");
        report
            .goals
            .push(goal.at_most(1.15, " ×", "bare hyper's CPU", value));
    }

    pub(crate) fn crowd(&self, settings: &Settings, origin: &Origin, report: &mut Report) {
        let manner = Manner {
            connections: 2000,
            ..HITS
        };
        let outcomes = interleaved(settings, origin, "2,000 connections", manner, &self.two());
        let note = "All 2,000 ask again as soon as they are answered.";
        report
            .tables
            .push(table("Hit, 1 KiB, 2,000 connections", note, &outcomes));
        let p99 = |measured: &Measured| measured.latencies.percentile(0.99).as_secs_f64();
        let value = ratio(&outcomes, (LARDER, BARE), p99);
        let goal = Goal::of("p99 under 2,000 connections");
        report
            .goals
            .push(goal.at_most(2.0, " ×", "bare hyper's", value));
    }

    /// Whoever was started, for what is done once to each.
    pub(crate) fn caches(&self) -> impl Iterator<Item = (&'static str, &Process)> {
        let peers = self
            .peers
            .iter()
            .map(|(peer, server)| (peer.name(), server));
        std::iter::once((LARDER, &self.larder)).chain(peers)
    }
}

/// Whole lines of the log that are about requests.
fn lines(log: &str) -> u64 {
    let whole = |line: &&str| {
        let line = serde_json::from_str::<serde_json::Value>(line);
        line.is_ok_and(|line| line["target"] == "larder::request")
    };
    log.lines().filter(whole).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_lines_about_requests_count() {
        let about = r#"{"level":"INFO","target":"larder::request"}"#;
        let other = r#"{"level":"INFO","target":"larder::upstream"}"#;
        let log = format!("{about}\n{other}\n{about}\n{{\"target\":\"larder::requ");
        assert_eq!(lines(&log), 2);
    }
}
