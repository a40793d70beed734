//! What stored objects take, and whether what is displaced is given back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{runtime::Builder, task::JoinSet};

use crate::{
    hits::Servers,
    kit::{
        Failure,
        http1::Connection,
        origin::LARGEST,
        process::Process,
        run::{Load, Path},
    },
    report::{Goal, Report, Table},
    servers::Starter,
    settings::{SERVER, Settings},
};

/// Small objects, of which the memory is measured.
const OBJECTS: usize = 100_000;
const MIB: f64 = 1024.0 * 1024.0;

/// What each of many small objects takes beside its body.
pub(crate) fn objects(
    starter: &Starter<'_>,
    servers: &Servers,
    report: &mut Report,
) -> Result<(), Failure> {
    let own = starter.larder(SERVER, &["--memory=1GiB"])?;
    let mut rows = Vec::new();
    let mut value = None;
    for (name, server) in servers.caches() {
        // nginx keeps bodies in files, and HAProxy takes all its memory when it starts.
        if matches!(name, "nginx" | "HAProxy") {
            continue;
        }
        let server = if name == "larder" { &own } else { server };
        let beside = match beside_body(server) {
            Ok(beside) => beside,
            Err(error) => {
                rows.push(vec![name.to_owned(), error.to_string()]);
                continue;
            }
        };
        eprintln!("memory: {name}: {beside:.0} bytes");
        rows.push(vec![name.to_owned(), format!("{beside:.0}")]);
        if name == "larder" {
            value = Some(beside);
        }
    }
    let goal = Goal::of("memory of a stored 1 KiB object, 8 headers");
    let what = "beside its body";
    report
        .goals
        .push(goal.at_most(1000.0, " bytes", what, value));
    report.tables.push(Table {
        title: "Memory of a stored 1 KiB object".to_owned(),
        note: format!(
            "What {OBJECTS} more of them add to the RSS, for each, less the body. nginx keeps \
             bodies in files, and HAProxy takes all its memory when it starts."
        ),
        head: ["server", "bytes beside the body"]
            .map(str::to_owned)
            .into(),
        rows,
    });
    Ok(())
}

fn beside_body(server: &Process) -> Result<f64, Failure> {
    // What a server needs for itself and its connections is there after the first ones.
    store(server, 0, OBJECTS / 10)?;
    let before = server.memory("VmRSS")?;
    store(server, OBJECTS / 10, OBJECTS)?;
    let grown = server.memory("VmRSS")?.saturating_sub(before);
    Ok(grown as f64 / OBJECTS as f64 - 1024.0)
}

/// Has so many objects stored, from this number on.
fn store(server: &Process, from: usize, count: usize) -> Result<(), Failure> {
    const CONNECTIONS: usize = 32;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut all = JoinSet::new();
        for first in 0..CONNECTIONS {
            let to = server.address;
            all.spawn(async move {
                let mut connection = Connection::open(to).await?;
                for n in (from + first..from + count).step_by(CONNECTIONS) {
                    let path = format!("/size/1024/object/{n}");
                    connection.get(|out| out.extend(path.bytes())).await?;
                }
                Ok::<_, Failure>(())
            });
        }
        while let Some(ended) = all.join_next().await {
            ended??;
        }
        Ok(())
    })
}

/// Objects of all sizes, each new, at full speed: what they displace must be given back.
pub(crate) fn churn(
    settings: &Settings,
    starter: &Starter<'_>,
    report: &mut Report,
) -> Result<(), Failure> {
    const MEMORY: f64 = 256.0;
    let larder = starter.larder(SERVER, &["--memory=256MiB", "--max-object=8MiB"])?;
    let load = Load {
        to: larder.address,
        connections: 32,
        streams: None,
        path: sizes(),
        threads: 1,
        warm_up: Duration::ZERO,
        time: settings.churn,
    };
    eprintln!("churn, for {:.0} s", settings.churn.as_secs_f64());
    let measured = load.run(larder.meter()?)?;
    let peak = larder.memory("VmHWM")? as f64 / MIB;
    let end = larder.memory("VmRSS")? as f64 / MIB;
    let goal = Goal::of("churn, 100 B to 8 MiB, 256 MiB of cache")
        .at_most(1.25 * MEMORY + 32.0, " MiB", "RSS at its peak", Some(peak))
        .note(format!(
            "{end:.0} MiB at the end of {:.0} s with {:.1} GB in {} objects",
            measured.time.as_secs_f64(),
            measured.bytes as f64 / 1e9,
            measured.requests,
        ));
    report.goals.push(goal);
    Ok(())
}

/// New paths, with sizes from 100 B to the largest: as many between 1 and 2 KiB as between 1 and
/// 2 MiB.
fn sizes() -> Path {
    let next = AtomicU64::new(0);
    Arc::new(move |out| {
        let n = next.fetch_add(1, Ordering::Relaxed);
        // Steps by the golden ratio are spread evenly, and the same in each run.
        let part = (n as f64 * 0.618_033_988_749_895).fract();
        let size = 100.0 * (LARGEST as f64 / 100.0).powf(part);
        out.extend(format!("/size/{}/churn/{n}", size as usize).bytes());
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_spread_from_the_least_to_the_largest() {
        let path = sizes();
        let all: Vec<usize> = (0..1000)
            .map(|_| {
                let mut out = Vec::new();
                path(&mut out);
                let out = String::from_utf8(out).unwrap();
                out.split('/').nth(2).unwrap().parse().unwrap()
            })
            .collect();
        assert!(all.iter().all(|size| (100..=LARGEST).contains(size)));
        assert!(all.iter().any(|size| *size < 110));
        assert!(all.iter().any(|size| *size > LARGEST * 9 / 10));
        let small = all.iter().filter(|size| **size < 29_000).count();
        assert!((480..520).contains(&small), "{small}");
    }
}
