//! Interleaved rounds: A B C, A B C, …, so that what the machine does meanwhile befalls all alike.

use crate::{
    kit::{
        Failure, http1,
        origin::Origin,
        process::Process,
        run::{Load, Measured, Path},
    },
    report::{Table, median},
    settings::Settings,
};

/// What a server's answers must come from.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum From {
    /// Itself.
    Itself,
    /// The origin, each.
    Origin,
}

/// A server, and what is asked of it.
pub(crate) struct Contender<'a> {
    pub(crate) name: &'a str,
    pub(crate) server: &'a Process,
    pub(crate) path: Path,
}

/// What all are driven with.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) connections: usize,
    pub(crate) streams: Option<usize>,
    pub(crate) threads: usize,
    pub(crate) from: From,
}

/// What came of one contender: one measurement for each round.
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) rounds: Vec<Measured>,
    pub(crate) failure: Option<String>,
}

/// 32 connections of HTTP/1.1, answered from the cache.
pub(crate) const HITS: Manner = Manner {
    connections: 32,
    streams: None,
    threads: 1,
    from: From::Itself,
};

/// Who fails is left out from then on, and the others go on.
pub(crate) fn interleaved(
    settings: &Settings,
    origin: &Origin,
    work: &str,
    manner: Manner,
    contenders: &[Contender<'_>],
) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for contender in contenders {
        let failure = match manner.from {
            From::Itself => fill(contender).err(),
            From::Origin => None,
        };
        outcomes.push(Outcome {
            name: contender.name.to_owned(),
            rounds: Vec::new(),
            failure: failure.map(|error| error.to_string()),
        });
    }
    for round in 1..=settings.rounds {
        let mut said = Vec::new();
        for (contender, outcome) in contenders.iter().zip(&mut outcomes) {
            if outcome.failure.is_some() {
                continue;
            }
            match drive(settings, origin, manner, contender) {
                Ok(measured) => {
                    said.push(format!("{} {:.1}", contender.name, measured.cpu_micros()));
                    outcome.rounds.push(measured);
                }
                Err(error) => {
                    eprintln!("{work}: {}: {error}", contender.name);
                    outcome.failure = Some(error.to_string());
                }
            }
        }
        let all = settings.rounds;
        eprintln!("{work}, round {round} of {all}, µs: {}", said.join(", "));
    }
    outcomes
}

/// How many requests [`fill`] makes.
pub(crate) const FILLING: u64 = 2;

/// Puts into the cache what will be asked for.
fn fill(contender: &Contender<'_>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut connection = http1::Connection::open(contender.server.address).await?;
        for _ in 0..FILLING {
            connection.get(|out| (contender.path)(out)).await?;
        }
        Ok(())
    })
}

fn drive(
    settings: &Settings,
    origin: &Origin,
    manner: Manner,
    contender: &Contender<'_>,
) -> Result<Measured, Failure> {
    let load = Load {
        to: contender.server.address,
        connections: manner.connections,
        streams: manner.streams,
        path: contender.path.clone(),
        threads: manner.threads,
        // Many connections take their time to be there.
        warm_up: settings.time / 6
            + std::time::Duration::from_micros(200) * manner.connections as u32,
        time: settings.time,
    };
    let before = origin.requests();
    let measured = load.run(contender.server.meter()?)?;
    let asked = origin.requests() - before;
    let right = match manner.from {
        From::Itself => asked == 0,
        From::Origin => asked >= measured.in_all,
    };
    if !right || measured.requests == 0 {
        let in_all = measured.in_all;
        return Err(format!("of {in_all} requests {asked} reached the origin").into());
    }
    Ok(measured)
}

impl Outcome {
    /// The median over the rounds; `None` where there is none.
    pub(crate) fn median(&self, figure: impl Fn(&Measured) -> f64) -> Option<f64> {
        if self.failure.is_some() {
            return None;
        }
        median(self.rounds.iter().map(figure).collect())
    }
}

/// The outcome of this name.
pub(crate) fn of<'a>(outcomes: &'a [Outcome], name: &str) -> Option<&'a Outcome> {
    outcomes.iter().find(|outcome| outcome.name == name)
}

/// How many times as much `one` has of a figure as `other`, round by round: the median.
pub(crate) fn ratio(
    outcomes: &[Outcome],
    (one, other): (&str, &str),
    figure: impl Fn(&Measured) -> f64,
) -> Option<f64> {
    let (one, other) = (of(outcomes, one)?, of(outcomes, other)?);
    if one.failure.is_some() || other.failure.is_some() {
        return None;
    }
    let pairs = one.rounds.iter().zip(&other.rounds);
    median(
        pairs
            .map(|(one, other)| figure(one) / figure(other))
            .collect(),
    )
}

/// All outcomes as a table; what they use beside the first.
pub(crate) fn table(title: &str, note: &str, outcomes: &[Outcome]) -> Table {
    let base = outcomes.first().map_or("", |outcome| &outcome.name);
    let head = [
        "server".to_owned(),
        "CPU µs/request (least–most)".to_owned(),
        format!("× {base}"),
        "requests per CPU s".to_owned(),
        "requests/s".to_owned(),
        "MB/s".to_owned(),
        "p50 ms".to_owned(),
        "p99 ms".to_owned(),
    ];
    let rows = outcomes.iter().map(|outcome| {
        let Some(cpu) = outcome.median(Measured::cpu_micros) else {
            let failure = outcome.failure.as_deref().unwrap_or("nothing was measured");
            return vec![outcome.name.clone(), failure.to_owned()];
        };
        let all = || outcome.rounds.iter().map(Measured::cpu_micros);
        let (least, most) = (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
        let figure = |figure: &dyn Fn(&Measured) -> f64| outcome.median(figure).unwrap_or(0.0);
        let beside = ratio(outcomes, (&outcome.name, base), Measured::cpu_micros);
        let percentile =
            |part| figure(&|measured| measured.latencies.percentile(part).as_secs_f64() * 1e3);
        vec![
            outcome.name.clone(),
            format!("{cpu:.1} ({least:.1}–{most:.1})"),
            beside.map_or(String::new(), |beside| format!("{beside:.2}")),
            format!("{:.0}", 1e6 / cpu),
            format!("{:.0}", figure(&Measured::per_second)),
            format!("{:.0}", figure(&Measured::megabytes_per_second)),
            format!("{:.2}", percentile(0.5)),
            format!("{:.2}", percentile(0.99)),
        ]
    });
    Table {
        title: title.to_owned(),
        note: note.to_owned(),
        head: head.into(),
        rows: rows.collect(),
    }
}
