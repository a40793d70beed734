//! One core and two.

use crate::{
    kit::{
        Failure,
        origin::Origin,
        process::Process,
        run::{Measured, same},
    },
    report::{Goal, Report},
    rounds::{Contender, HITS, Manner, interleaved, ratio, table},
    servers::Starter,
    settings::{LOAD, Settings, pin},
};

pub(crate) fn scaling(
    settings: &Settings,
    starter: &Starter<'_>,
    origin: &Origin,
    report: &mut Report,
) -> Result<(), Failure> {
    let alone = settings.cores >= 4;
    let servers: [(&str, Process); 4] = [
        ("larder, 1 core", starter.larder("0", &["--threads=1"])?),
        ("larder, 2 cores", starter.larder("0,1", &["--threads=2"])?),
        ("bare hyper, 1 core", starter.bare("0")?),
        ("bare hyper, 2 cores", starter.bare("0,1")?),
    ];
    let contenders = servers.each_ref().map(|(name, server)| Contender {
        name,
        server,
        path: same("/size/1024"),
    });
    let manner = Manner {
        connections: 64,
        threads: 2,
        ..HITS
    };
    pin(if alone { "2,3" } else { "0,1" })?;
    let outcomes = interleaved(settings, origin, "scaling", manner, &contenders);
    pin(LOAD)?;

    let pair = ("larder, 2 cores", "larder, 1 core");
    let faster = ratio(&outcomes, pair, Measured::per_second);
    let dearer = ratio(&outcomes, pair, Measured::cpu_micros);
    let by_cpu = dearer.map(|dearer| 2.0 / dearer);
    let (note, goal) = if alone {
        let goal = Goal::of("2 cores").at_least(1.9, " ×", "the requests/s of 1 core", faster);
        ("64 connections; the load has two cores of its own.", goal)
    } else {
        let what = "the requests that 1 core's CPU time buys, with 2 cores' (by CPU per request)";
        let said = faster.map_or(String::new(), |faster| {
            format!("requests/s were {faster:.2} ×: the load had to share the two cores")
        });
        let goal = Goal::of("2 cores")
            .at_least(1.9, " ×", what, by_cpu)
            .note(said);
        (
            "64 connections. This machine has no more cores, so that the load shares these two, \
             and requests/s cannot double. What can be told is whether a request costs more CPU \
             time when two cores serve: 2 ÷ that is what two cores are worth.",
            goal,
        )
    };
    report.tables.push(table("Scaling", note, &outcomes));
    report.goals.push(goal);
    Ok(())
}
