//! larder beside bare hyper, HAProxy, nginx and Varnish: what `make compare` runs.
//!
//! Each server has one core to itself, and the load another. The servers take turns in short
//! rounds, and the medians of the rounds are what is told. A server's CPU time is what the system
//! says of its processes. The peers' configurations are in `peers`, with the reason for each
//! setting. What comes of it is printed, and written to `docs/performance.md`.

mod collapse;
mod hits;
#[path = "../../benches/load/kit/mod.rs"]
mod kit;
mod machine;
mod memory;
mod plot;
mod report;
mod rounds;
mod scaling;
mod servers;
mod settings;
mod start;

use std::{fs, process::ExitCode, time::Instant};

use hits::Servers;
use kit::{Failure, origin::Origin, page, run::Measured};
use report::Report;
use rounds::Outcome;
use servers::Starter;
use settings::Settings;

fn main() -> ExitCode {
    match compare() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare() -> Result<(), Failure> {
    let since = Instant::now();
    let settings = Settings::read()?;
    let origin = Origin::start()?;
    let starter = Starter {
        settings: &settings,
        origin: origin.address,
    };
    let mut report = Report::default();
    let plotted = measure(&settings, &starter, &origin, &mut report)?;
    println!("{}", report.text());
    if settings.only.is_some() {
        return Ok(());
    }

    let page = settings.docs.join("performance.md");
    let machine = machine::describe(&settings, since.elapsed());
    let image = "![A hit of 1 KiB: CPU time per request](performance.svg)";
    let measured = format!("{machine}\n{image}\n\n{}", report.markdown());
    page::write(&page, "make compare", &measured)?;
    let plot = plot::bars(
        "A hit of 1 KiB: CPU time per request",
        "µs",
        &figures(&plotted),
    );
    fs::write(settings.docs.join("performance.svg"), plot)?;
    println!("{} is written", page.display());
    Ok(())
}

/// All parts, or those that were asked for. The outcomes of the first one are plotted.
fn measure(
    settings: &Settings,
    starter: &Starter<'_>,
    origin: &Origin,
    report: &mut Report,
) -> Result<Vec<Outcome>, Failure> {
    let wanted = |part: &str| {
        settings
            .only
            .as_deref()
            .is_none_or(|only| part.contains(only))
    };
    let mut servers = Servers::start(starter)?;
    let mut plotted = Vec::new();
    if wanted("hit-1k") {
        plotted = servers.small(settings, origin, report)?;
    }
    if wanted("hit-256k") {
        servers.middle(settings, origin, report);
    }
    if wanted("hit-4m") {
        servers.large(settings, origin, report);
    }
    if wanted("h2") {
        servers.h2(settings, origin, report);
    }
    if wanted("crowd") {
        servers.crowd(settings, origin, report);
    }
    if wanted("scaling") {
        let done = scaling::scaling(settings, starter, origin, report);
        report.note_failure("2 cores", done);
    }
    if wanted("miss") {
        servers.misses(settings, origin, report);
    }
    if wanted("collapse") {
        collapse::collapse(settings, &servers, origin, report);
    }
    if wanted("start") {
        let done = start::start(starter, report);
        report.note_failure("start", done);
    }
    if wanted("objects") {
        let done = memory::objects(starter, &servers, report);
        report.note_failure("memory of objects", done);
    }
    if wanted("churn") {
        let done = memory::churn(settings, starter, report);
        report.note_failure("churn", done);
    }
    Ok(plotted)
}

fn figures(outcomes: &[Outcome]) -> Vec<(String, f64)> {
    let figure = |outcome: &Outcome| {
        let cpu = outcome.median(Measured::cpu_micros)?;
        Some((outcome.name.clone(), cpu))
    };
    outcomes.iter().filter_map(figure).collect()
}
