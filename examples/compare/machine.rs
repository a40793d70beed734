//! Where and with what it was measured.

use std::{fs, process::Command, time::Duration};

use crate::{
    servers::PEERS,
    settings::{LOAD, SERVER, Settings},
};

/// A few lines of Markdown.
pub(crate) fn describe(settings: &Settings, took: Duration) -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": "));
    let model = model.map_or("a processor without a name", |(_, model)| model);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let peers = PEERS.iter().map(|peer| match peer.version() {
        Some(version) => version,
        None => format!("{} was not there", peer.name()),
    });
    let peers: Vec<_> = peers.collect();
    format!(
        "Made by `make compare ROUNDS={rounds} ROUND_SECONDS={seconds} CHURN={churn}` in {took} min.\n\n\
         - Machine: {model}, {cores} cores, Linux {kernel}. The servers have core {SERVER}, the load and the \
           origin core {LOAD}.\n\
         - Versions: {larder}; {rustc}; {peers}.\n\
         - In rounds: each server {seconds} s after a warm-up, one after the other, {rounds} times; \
           the figures are medians, the ratios medians of the ratios in each round.\n",
        rounds = settings.rounds,
        seconds = settings.time.as_secs_f64(),
        churn = settings.churn.as_secs_f64(),
        took = took.as_secs().div_ceil(60),
        cores = settings.cores,
        kernel = kernel.trim().split('-').next().unwrap_or_default(),
        larder = said(
            &settings.release.join("larder").to_string_lossy(),
            "--version"
        ),
        rustc = said("rustc", "--version"),
        peers = peers.join("; "),
    )
}

fn said(program: &str, flag: &str) -> String {
    let said = Command::new(program).arg(flag).output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
    said.unwrap_or_else(|_| program.to_owned())
}
