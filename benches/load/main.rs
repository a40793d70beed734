//! Starts the program and an origin, drives it over loopback with several numbers of connections,
//! and prints what it delivers, how long answers take, and what each costs.
//!
//! `cargo bench --bench load` takes some 25 s; with `WRITE=1` it writes the table to
//! `docs/performance.md`. As a test it is short.

// examples/compare needs more of it than this, and runs its unit tests: here is no harness.
#[allow(dead_code)]
#[cfg_attr(test, allow(unused_imports))]
mod kit;

use std::{env, path::Path as File, process::ExitCode, time::Duration};

use kit::{
    Failure,
    origin::Origin,
    page,
    process::{Process, free_address, on_cores},
    run::{Load, Measured, Path, distinct, same},
};

struct Case {
    work: &'static str,
    connections: usize,
    streams: Option<usize>,
    path: Path,
}

fn main() -> ExitCode {
    match bench() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Result<(), Failure> {
    // Cargo says so when it benches, and nothing when it tests.
    let in_full = env::args().any(|arg| arg == "--bench");
    let (time, counts) = match in_full {
        true => (Duration::from_secs(2), &[1, 32, 256][..]),
        false => (Duration::from_millis(50), &[1, 8][..]),
    };
    let origin = Origin::start()?;
    let address = free_address()?;
    let mut larder = on_cores(None, env!("CARGO_BIN_EXE_larder"));
    larder.args(["--log=warn", &format!("--port={}", address.port())]);
    larder.arg(format!("--origin=http://{}", origin.address));
    let larder = Process::start(larder, address)?;

    let mut table = HEAD.join("\n");
    println!("\n{table}");
    for case in cases(counts) {
        let load = Load {
            to: larder.address,
            connections: case.connections,
            streams: case.streams,
            path: case.path,
            threads: 1,
            warm_up: time / 8,
            time,
        };
        let before = origin.requests();
        let measured = load.run(larder.meter()?)?;
        let asked = origin.requests() - before;
        let hits = measured.in_all.saturating_sub(asked);
        let line = line(case.work, case.connections, &measured);
        println!("{line}");
        table += &format!("\n{line}");
        // One fetch fills the cache; what is never asked for twice is always fetched.
        let right = if case.work.starts_with("miss") {
            hits == 0
        } else {
            asked <= 1
        };
        if !right || (in_full && measured.requests == 0) {
            return Err(
                format!("of {} requests {asked} reached the origin", measured.in_all).into(),
            );
        }
    }
    let memory = larder.memory("VmRSS")? >> 20;
    let cores = std::thread::available_parallelism()?;
    let told = format!("{memory} MiB of memory at the end; {cores} cores for all.");
    println!("\n{told}");
    if in_full && env::var_os("WRITE").is_some_and(|write| !write.is_empty()) {
        let page = File::new(env!("CARGO_MANIFEST_DIR")).join("docs/performance.md");
        page::write(&page, "make bench", &format!("{table}\n\n{told}"))?;
    }
    Ok(())
}

fn cases(counts: &'static [usize]) -> impl Iterator<Item = Case> {
    let (json, large) = (same("/size/1024"), same("/size/262144"));
    let envelope = same("/proxy?url=%2Fsize%2F1024");
    let case = |work, path: Path, streams| {
        move |connections: &usize| Case {
            work,
            connections: *connections,
            streams,
            path: path.clone(),
        }
    };
    let of_all = counts.iter().map(case("hit, 1 KiB", json.clone(), None));
    let most = &counts[1..2];
    of_all
        .chain(
            most.iter()
                .map(case("hit, 1 KiB, /proxy?url=", envelope, None)),
        )
        .chain(most.iter().map(case("hit, 256 KiB", large, None)))
        .chain(
            counts[..1]
                .iter()
                .map(case("hit, 1 KiB, HTTP/2, 32 streams", json, Some(32))),
        )
        .chain(
            counts
                .iter()
                .map(case("miss, 1 KiB", distinct("/size/1024/"), None)),
        )
}

const HEAD: [&str; 2] = [
    "| work | connections | requests/s | MB/s | p50 ms | p90 ms | p99 ms | p99.9 ms | CPU µs/request |",
    "|---|---|---|---|---|---|---|---|---|",
];

fn line(work: &str, connections: usize, measured: &Measured) -> String {
    let millis = |part| measured.latencies.percentile(part).as_secs_f64() * 1e3;
    format!(
        "| {work} | {connections} | {:.0} | {:.1} | {:.3} | {:.3} | {:.3} | {:.3} | {:.1} |",
        measured.per_second(),
        measured.megabytes_per_second(),
        millis(0.5),
        millis(0.9),
        millis(0.99),
        millis(0.999),
        measured.cpu_micros(),
    )
}
